package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

func TestTwoSessionsShareOneStore(t *testing.T) {
	for _, locked := range []bool{true, false} {
		t.Run(map[bool]string{true: "that has a lock: one refresh", false: "without a lock: nobody is signed out"}[locked], func(t *testing.T) {
			inWorld(t, func(w *world) {
				var shared tandem.Store = w.store
				if !locked {
					shared = struct{ tandem.Store }{w.store}
				}
				sessions := []*tandem.Session{w.open(shared), w.open(shared), w.open(shared)}
				for round := range 5 {
					w.expire()
					var calls sync.WaitGroup
					for _, s := range sessions {
						for range 10 {
							calls.Go(func() { w.mustHello(s) })
						}
					}
					calls.Wait()
					if locked {
						w.expectServed(testserver.Refresh, round+1)
					}
				}
				w.expectEnds()
				if got := w.server.Events(server.EventReuseDetected); got != 0 {
					w.Errorf("reuse detected %d times", got)
				}
			})
		})
	}
}

// Between two attempts of one session, another session of a store without a lock
// gets on, twice. The first must not come with a token of long ago: that would look
// like a thief's.
func TestEveryAttemptReadsTheStoreAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		shared := struct{ tandem.Store }{w.store}
		slow, quick := w.open(shared, func(c *tandem.Config) { c.RefreshTimeout = time.Minute }), w.open(shared)
		w.expire()
		var attempts atomic.Int64
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != testserver.Refresh || attempts.Add(1) != 1 {
				return false
			}
			for range 2 { // while the first attempt of the slow one is under way
				token, err := quick.Token(context.Background())
				if err != nil {
					w.Errorf("the quick one: %v", err)
				}
				quick.Invalidate(token)
			}
			time.Sleep(server.DefaultLeeway)
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		if _, err := slow.Token(context.Background()); err != nil {
			w.Errorf("the slow one: %v", err)
		}
		w.expectEnds()
		for _, kind := range []server.EventKind{server.EventReuseDetected, server.EventRefreshStale} {
			if n := w.server.Events(kind); n != 0 {
				w.Errorf("%s: %d times", kind, n)
			}
		}
	})
}

// What one session of a store does, the others take up: they are one session.
func TestASignInIsTakenUpByTheOthersOfTheStore(t *testing.T) {
	inWorld(t, func(w *world) {
		store := tandem.NewMemoryStore()
		first, second := w.open(store), w.open(store)
		signIn := func(s *tandem.Session) {
			if err := s.SignIn(context.Background(), "ann", "nna"); err != nil {
				w.Fatal(err)
			}
		}
		if _, err := second.Token(context.Background()); !errors.Is(err, tandem.ErrNotSignedIn) {
			w.Errorf("before anybody has signed in: %v", err)
		}
		signIn(first)
		w.mustHello(second)

		w.endAtServer()
		w.expire()
		var ended *tandem.EndedError
		for range 2 {
			if _, err := second.Token(context.Background()); !errors.As(err, &ended) {
				w.Errorf("after the end: %v", err)
			}
		}
		w.expectEnds("revoked")
		signIn(first)
		w.mustHello(second)

		if err := first.SignOut(context.Background()); err != nil {
			w.Fatal(err)
		}
		w.expire()
		if _, err := second.Token(context.Background()); !errors.As(err, &ended) {
			w.Errorf("after the other has signed out: %v", err)
		}
		signIn(second)
		w.mustHello(first)
	})
}
