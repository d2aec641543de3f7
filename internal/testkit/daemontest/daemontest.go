// Package daemontest serves a daemon for a test.
package daemontest

import (
	"context"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem/internal/daemon"
)

// Serve serves a daemon until the test ends or calls stop, and fails the test if that does
// not end well.
func Serve(t testing.TB, d *daemon.Daemon) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}
