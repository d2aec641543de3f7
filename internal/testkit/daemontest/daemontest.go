// Package daemontest serves a daemon for a test.
package daemontest

import (
	"context"
	"testing"

	"github.com/tandem-auth/tandem/internal/daemon"
)

// Serve serves a daemon until the test ends, and fails the test if that does not end well.
func Serve(t testing.TB, d *daemon.Daemon) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
