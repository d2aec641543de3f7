package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

type healthCommand struct {
	URL      string        `name:"url" default:"http://localhost:8080/readyz" help:"The address to ask (default ${default})."`
	Timeout  time.Duration `default:"3s" help:"How long to wait for the answer (default ${default})."`
	Insecure bool          `help:"Do not check the certificate: inside a container, the server's own is not one for localhost."`
}

// Run asks the server, and fails unless it answers 200.
func (cmd *healthCommand) Run(ctx context.Context, c console) error {
	ctx, cancel := context.WithTimeout(ctx, cmd.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, cmd.URL, http.NoBody)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: cmd.Insecure}} //nolint:gosec // the flag says so
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("the server does not answer at %s: %w", cmd.URL, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 500))
		return fmt.Errorf("the server is not ready: %s: %s", response.Status, strings.TrimSpace(string(text)))
	}
	return c.print(checkedAnswer{OK: true}, "The server is ready.\n")
}
