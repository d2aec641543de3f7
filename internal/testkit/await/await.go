// Package await waits for processes that a test has started.
package await

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// OK waits until a URL is answered with 200, for at most 30 seconds.
func OK(url string) error { return OKBy(http.DefaultClient, url) }

// OKBy is [OK] with a client.
func OKBy(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		last := get(ctx, client, url)
		if last == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s is not answered with 200: %w", url, last)
		}
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s", response.Status)
	}
	return nil
}
