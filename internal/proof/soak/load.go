package soak

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// workers is how many refreshes are under way at most.
const workers = 32

// A load refreshes sessions in turn.
type load struct {
	url    string
	client *http.Client
	tokens chan string // of sessions that are not being refreshed
}

// Times are how long requests took.
type Times struct {
	took []time.Duration
	over time.Duration
}

func (t Times) rate() float64 { return float64(len(t.took)) / t.over.Seconds() }

// Percentile returns how long the quickest part of the requests took at most: 0.99 is the
// 99th percentile.
func (t Times) Percentile(part float64) time.Duration {
	if len(t.took) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(t.took))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func newLoad(ctx context.Context, url string, sessions int) (*load, error) {
	l := &load{
		url: url, tokens: make(chan string, sessions),
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: workers}, Timeout: 10 * time.Second},
	}
	for range sessions {
		token, err := l.post(ctx, "/auth/login", map[string]string{"username": "ann", "password": password})
		if err != nil {
			return nil, fmt.Errorf("sign in: %w", err)
		}
		l.tokens <- token
	}
	return l, nil
}

func (l *load) close() { l.client.CloseIdleConnections() }

// post returns the refresh token of the answer.
func (l *load) post(ctx context.Context, path string, body map[string]string) (string, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, l.url+path, bytes.NewReader(text))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := l.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	var answer struct {
		RefreshToken string `json:"refreshToken"`
	}
	if text, err = io.ReadAll(response.Body); err != nil {
		return "", err
	}
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d", response.StatusCode)
	}
	err = json.Unmarshal(text, &answer)
	return answer.RefreshToken, err
}

// run refreshes for a while, at a rate a second or, if that is 0, without a pause. It returns
// how long each refresh took from the moment that it was due, and how many failed: a server
// that falls behind is not asked more kindly.
func (l *load) run(ctx context.Context, duration time.Duration, rate float64) (Times, int) {
	due := make(chan time.Time, 100_000)
	began := time.Now()
	go func() {
		defer close(due)
		for i := 0; ; i++ {
			at := time.Now()
			if rate > 0 {
				at = began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				time.Sleep(time.Until(at))
			}
			if at.Sub(began) > duration || ctx.Err() != nil {
				return
			}
			due <- at
			if rate == 0 && len(due) > workers {
				time.Sleep(time.Millisecond)
			}
		}
	}()
	var mu sync.Mutex
	var times Times
	failed := 0
	var done sync.WaitGroup
	for range workers {
		done.Go(func() {
			for at := range due {
				if rate == 0 {
					at = time.Now()
				}
				token := <-l.tokens
				next, err := l.refresh(ctx, token)
				l.tokens <- next
				mu.Lock()
				times.took = append(times.took, time.Since(at))
				if err != nil {
					failed++
				}
				mu.Unlock()
			}
		})
	}
	done.Wait()
	times.over = time.Since(began)
	return times, failed
}

// refresh returns the next token or, if it fails, the same: it is still good.
func (l *load) refresh(ctx context.Context, token string) (string, error) {
	next, err := l.post(ctx, "/auth/refresh-token", map[string]string{"refreshToken": token})
	if err != nil {
		return token, err
	}
	return next, nil
}
