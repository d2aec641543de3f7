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
	"github.com/tandem-auth/tandem/server"
)

// A store that fails to save new pairs ends no session. Once it is well, it gets the
// pair in use.
func TestAStoreThatFails(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s := w.open(shaky)
		shaky.FailSwaps(errors.New("disk full"))
		for range 3 {
			w.expire()
			w.mustHello(s)
		}
		shaky.Well()
		w.expire()
		w.mustHello(s)
		if w.kept().AccessToken == "" || w.kept().AccessToken != must(s.Token(w.Context())) {
			w.Error("the store has not got the pair in use")
		}
		w.mustHello(w.open(w.store))
	})
}

func must(token string, _ error) string { return token }

// A program whose disk was full during two refreshes can be started again: it presents the
// pair that the store has.
func TestARestartAfterAStoreFailed(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s := w.open(shaky)
		shaky.FailSwaps(errors.New("disk full"))
		for range 2 {
			w.expire()
			w.mustHello(s)
		}
		shaky.Well()
		s.Close()
		time.Sleep(server.DefaultLeeway + time.Second)
		status, err := w.hello(w.open(w.store))
		if err != nil {
			t.Errorf("after the restart: %d, %v (reuse detected %d times)", status, err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// One process can read the store and not write to it. Another one, which can, goes on from
// what the store has.
func TestAnotherProcessWhileOneCannotWrite(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s, other := w.open(shaky), w.open(w.store)
		shaky.FailSwaps(errors.New("read-only file system"))
		for range 2 {
			w.expire()
			w.mustHello(s)
		}
		time.Sleep(server.DefaultLeeway + time.Second)
		if _, err := w.hello(other); err != nil {
			t.Errorf("the other: %v (reuse detected %d times)", err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// A store may be read-only for longer than a refresh token is good for. The session
// presents the pair that the store has, again and again, until half of the token's life
// has gone; from then on it presents the pair in use, and the session lives on.
func TestAStoreThatIsReadOnlyForLong(t *testing.T) {
	const life = 30 * time.Minute
	inWorldOn(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store)
		store.FailSwaps(errors.New("read-only file system"))
		w.expire()
		w.mustHello(s)
		firstPresented := time.Now()
		last := w.server.Events(server.EventRefreshed)
		for i := range 40 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Fatalf("after %d minutes of steady work: %v", i+1, err)
			}
			n := w.server.Events(server.EventRefreshed) // and not EventRefreshRetried
			if after := time.Since(firstPresented); (n != last) != (after >= life/2) {
				t.Errorf("after %s, a new token was presented: %t", after, n != last)
			}
			last = n
		}
	}, func(c *server.Config) { c.RefreshTTL = life })
}

// A session that is closed while its store fails returns the store's error, and signs
// nobody out. Once the store is well, closing it again saves the pair in use.
func TestCloseSaysThatTheStoreFails(t *testing.T) {
	inWorld(t, func(w *world) {
		full := errors.New("disk full")
		store := faultystore.New(w.store)
		s := w.open(store)
		store.FailSwaps(full)
		w.expire()
		w.mustHello(s)
		inUse := must(s.Token(w.Context()))
		if err := s.Close(); !errors.Is(err, full) {
			t.Errorf("Close returned %v, want the store's error", err)
		}
		store.Well()
		if err := s.Close(); err != nil {
			t.Errorf("a second Close returned %v", err)
		}
		if w.kept().AccessToken != inUse {
			t.Error("the store has not got the pair in use")
		}
		w.expectServed(testserver.Logout, 0)
		w.expectEnds()
		w.expire()
		w.mustHello(w.open(w.store))
	})
}

// A store that has saved the pair, and said that it has not, is no error of Close.
func TestCloseSaysNothingIfTheStoreHasThePair(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store)
		store.SaveAndFail(1, errors.New("sync: input/output error"))
		w.expire()
		w.mustHello(s)
		if err := s.Close(); err != nil {
			t.Errorf("the store has the pair: %v", err)
		}
		if got := w.kept(); got.AccessToken == "" {
			t.Error("Close has signed ann out")
		}
	})
}

// A store that has saved the pair, and said that it has not, costs no second refresh.
func TestAStoreThatSavesAndFails(t *testing.T) {
	inWorld(t, func(w *world) {
		unsure := faultystore.New(w.store)
		s := w.open(unsure)
		unsure.SaveAndFail(1, errors.New("sync: input/output error"))
		w.expire()
		w.mustHello(s)
		w.expire()
		before := w.server.Served(testserver.Refresh)
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == testserver.Refresh && w.server.Served(testserver.Refresh) >= before+200 {
				cancel() // enough
			}
			return false
		})
		_, err := s.Token(ctx)
		if n := w.server.Served(testserver.Refresh) - before; n != 1 || err != nil {
			t.Errorf("%d refreshes for one token, in no time, error %v", n, err)
		}
	})
}

// A sign-in counts if the store has its pair, even if the store said that it failed.
func TestASignInThatTheStoreSavesAndFails(t *testing.T) {
	inWorld(t, func(w *world) {
		unsure := faultystore.New(w.store)
		s := w.open(unsure)
		unsure.SaveAndFail(1, errors.New("sync: input/output error"))
		err := s.SignIn(w.Context(), "bob", "bbo")
		before := s.Status().Username
		w.expire()
		w.mustHello(s)
		if now := s.Status().Username; now != before {
			t.Errorf("SignIn: %v; it was %s's session, and became %s's a minute later", err, before, now)
		}
	})
}

// A store that hangs holds Close for two seconds at most.
func TestCloseDoesNotWaitForAStoreThatHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store)
		store.HangSwaps()
		w.expire()
		_, _ = s.Token(w.Context())
		time.Sleep(1100 * time.Millisecond) // saveLater is at it
		began := time.Now()
		s.Close()
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("Close took %s", took)
		}
	})
}

// A store may read from a replica that is behind, so that no swap succeeds. SignIn gives up
// in the end.
func TestSignInGivesUpAtAStoreThatShowsAnOldPair(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		old := w.kept()
		w.expire()
		w.mustHello(w.session)
		var loads atomic.Int64
		store := faultystore.New(w.store)
		store.Hook(faultystore.Hooks{Load: func(ctx context.Context, _ func() (tandem.Pair, error)) (tandem.Pair, error) {
			if loads.Add(1) == 10_000 {
				cancel()
			}
			return old, ctx.Err()
		}})
		s := w.open(store)
		err := s.SignIn(ctx, "ann", "nna")
		if n := loads.Load(); n > 100 {
			t.Errorf("%d reads in no time: %v", n, err)
		}
	})
}

// A server has told a process to wait. The process adopts a pair that another one has
// fetched since.
func TestAFailureDoesNotHideWhatTheStoreHas(t *testing.T) {
	inWorld(t, func(w *world) {
		other := w.open(w.store)
		w.expire()
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "300")
			rw.WriteHeader(http.StatusServiceUnavailable)
		})
		_, _ = w.hello(w.session)
		w.server.Script(nil)
		time.Sleep(20 * time.Second)
		w.mustHello(other)
		if _, err := w.hello(w.session); err != nil {
			t.Errorf("the store has a good token, and: %v", err)
		}
	})
}

// A store answers only when its context ends. A caller without a deadline gets an answer all
// the same.
func TestAStoreThatHangsHoldsNobodyForEver(t *testing.T) {
	hang := faultystore.Hooks{Load: func(ctx context.Context, _ func() (tandem.Pair, error)) (tandem.Pair, error) {
		<-ctx.Done()
		return tandem.Pair{}, ctx.Err()
	}}
	settles := func(w *world, what string, call func(ctx context.Context) error) {
		w.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		begun := time.Now()
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		select {
		case err := <-done:
			w.Logf("%s: after %s: %v", what, time.Since(begun), err)
		case <-time.After(24 * time.Hour):
			w.Errorf("%s: held for a day", what)
			cancel()
			<-done
		}
	}
	t.Run("no session yet", func(t *testing.T) {
		inWorld(t, func(w *world) {
			store := faultystore.New(tandem.NewMemoryStore())
			s := w.open(store)
			store.Hook(hang)
			settles(w, "Token", func(ctx context.Context) error { _, err := s.Token(ctx); return err })
		})
	})
	t.Run("a failure is remembered", func(t *testing.T) {
		inWorld(t, func(w *world) {
			store := faultystore.New(w.store)
			s := w.open(store)
			w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Retry-After", "300")
				rw.WriteHeader(http.StatusServiceUnavailable)
			})
			w.expire()
			_, _ = s.Token(w.Context())
			time.Sleep(2 * time.Second)
			store.Hook(hang)
			settles(w, "Token", func(ctx context.Context) error { _, err := s.Token(ctx); return err })
		})
	})
	t.Run("SignIn and Reload", func(t *testing.T) {
		inWorld(t, func(w *world) {
			store := faultystore.New(w.store)
			s := w.open(store)
			store.Hook(hang)
			settles(w, "SignIn", func(ctx context.Context) error { return s.SignIn(ctx, "ann", "nna") })
			settles(w, "Reload", func(ctx context.Context) error { return s.Reload(ctx) })
		})
	})
	t.Run("SignOut", func(t *testing.T) {
		inWorld(t, func(w *world) {
			store := faultystore.New(w.store)
			s := w.open(store)
			store.Hook(hang)
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			settles(w, "SignOut", func(context.Context) error { return s.SignOut(ctx) })
			w.expectServed(testserver.Logout, 1)
		})
	})
}
