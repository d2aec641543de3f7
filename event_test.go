package tandem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// told returns what Observe was told since the last time, and forgets it.
func (w *world) told() []tandem.Event {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

func (w *world) expectTold(want ...tandem.EventKind) []tandem.Event {
	w.Helper()
	events := w.told()
	var got []tandem.EventKind
	for _, e := range events {
		got = append(got, e.Kind)
		if e.SessionID == "" || e.Begun.IsZero() || e.Duration < 0 {
			w.Errorf("%+v lacks something", e)
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("told of %v, want %v", got, want)
	}
	return events
}

// A program that watches hears of all that happens, in its order.
func TestWhatAnObserverIsTold(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expectTold(tandem.EventSignIn)

		w.server.Script(slowly(3 * time.Second))
		w.expire()
		w.mustHello(w.session)
		if e := w.expectTold(tandem.EventRefresh)[0]; e.Duration != 3*time.Second || e.Err != nil {
			w.Errorf("the refresh took 3 s: %+v", e)
		}

		w.expire()
		other := w.open(w.store)
		w.mustHello(other)
		w.expectTold(tandem.EventRefresh)
		w.mustHello(w.session)
		w.expectTold(tandem.EventAdopt)

		w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		w.expire()
		_, _ = w.hello(w.session)
		var temporary *tandem.TemporaryError
		if e := w.expectTold(tandem.EventRefreshFailed)[0]; !errors.As(e.Err, &temporary) || temporary.RetryAt.IsZero() {
			w.Errorf("a failure without its reason: %+v", e)
		}

		w.server.Script(nil)
		w.expire()
		w.endAtServer()
		_, _ = w.hello(w.session)
		var ended *tandem.EndedError
		if e := w.expectTold(tandem.EventEnd)[0]; !errors.As(e.Err, &ended) {
			w.Errorf("an end without its reason: %+v", e)
		}

		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		if err := w.session.SignOut(w.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectTold(tandem.EventSignIn, tandem.EventSignOut)
	})
}

// A replay and a refresh are told with the values of the request that they are for,
// so that a trace has them in their place.
func TestEventsKnowTheirRequest(t *testing.T) {
	type key struct{}
	got := make(chan string, 10)
	inWorld(t, func(w *world) {
		w.endToken()
		s := w.open(w.store, func(c *tandem.Config) {
			c.Observe = func(ctx context.Context, e tandem.Event) { got <- fmt.Sprint(e.Kind, " for ", ctx.Value(key{})) }
		})
		req, err := http.NewRequestWithContext(context.WithValue(w.Context(), key{}, "ann's order"), http.MethodGet, testserver.URL+testserver.Hello, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		synctest.Wait()
		close(got)
	})
	var all []string
	for e := range got {
		all = append(all, e)
	}
	if len(all) != 2 || !strings.Contains(strings.Join(all, "\n"), "refresh for ann's order") || !strings.Contains(strings.Join(all, "\n"), "replay for ann's order") {
		t.Errorf("told: %q", all)
	}
}

// A store that fails is told of, and the session goes on.
func TestAnObserverHearsOfAStoreThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(tandem.NewMemoryStore())
		s := w.open(shaky)
		if err := s.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		w.told()
		shaky.FailSwaps(errors.New("disk full"))
		w.expire()
		w.mustHello(s)
		w.expectTold(tandem.EventStoreFailed, tandem.EventRefresh)
	})
}

// An observer may do with the session what it likes, even close it.
func TestAnObserverMayCloseTheSession(t *testing.T) {
	inWorld(t, func(w *world) {
		closed := make(chan struct{})
		var s *tandem.Session
		s = w.open(w.store, func(c *tandem.Config) {
			c.Observe = func(context.Context, tandem.Event) {
				_ = s.Status()
				s.Close()
				close(closed)
			}
		})
		w.expire()
		_, _ = w.hello(s)
		<-closed
		if _, err := s.Token(w.Context()); !errors.Is(err, tandem.ErrClosed) {
			t.Errorf("closed, and yet: %v", err)
		}
	})
}

// slowly makes refreshes take their time.
func slowly(wait time.Duration) func(http.ResponseWriter, *http.Request) bool {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == testserver.Refresh {
			time.Sleep(wait)
		}
		return false
	}
}
