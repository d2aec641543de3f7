package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// A program's clock and its source of jitter may call the session: the session calls
// them with no lock held. A lock that was held would stop this test for ever.
func TestTheClockAndTheJitterMayCallTheSession(t *testing.T) {
	var session atomic.Pointer[tandem.Session]
	var inside atomic.Bool
	var calls atomic.Int64
	gone, giveUp := context.WithCancel(context.Background())
	giveUp()
	use := func() {
		s := session.Load()
		if s == nil || !inside.CompareAndSwap(false, true) {
			return // a session that is not open yet, or its own call
		}
		defer inside.Store(false)
		calls.Add(1)
		_, _, _ = s.Status(), s.Stats(), s.String()
		_, _ = s.Token(gone)
		_ = s.Reload(context.Background())
	}
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store.Locking(w.store), func(c *tandem.Config) {
			c.RefreshAhead = 0
			c.Now = func() time.Time { use(); return time.Now() }
			c.Jitter = func(limit time.Duration) time.Duration { use(); return limit / 2 }
		})
		session.Store(s)
		other := w.open(w.store)

		w.age()
		w.mustHello(s)
		w.expire()
		w.mustHello(s) // a refresh
		w.expire()
		w.mustHello(other)
		w.mustHello(s) // a pair of the other session is adopted
		store.FailSwaps(errors.New("disk full"))
		w.expire()
		w.mustHello(s)
		time.Sleep(5 * time.Second) // the session tries to save the pair
		store.Well()
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		w.expire()
		_, _ = w.hello(s)
		_, _ = w.hello(s) // the failure is remembered
		w.server.Script(nil)
		time.Sleep(time.Minute)
		if err := s.Reload(w.Context()); err != nil {
			t.Error(err)
		}
		w.mustHello(s)
		if err := s.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Error(err)
		}
		w.endAtServer()
		w.expire()
		_, _ = w.hello(s)
		if err := s.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Error(err)
		}
		if err := s.SignOut(w.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		session.Store(nil)
		if calls.Load() < 20 {
			t.Errorf("the callbacks called the session %d times", calls.Load())
		}
	})
}
