package tandem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
)

func TestSignOut(t *testing.T) {
	t.Run("ends the session here and at the server", func(t *testing.T) {
		inWorld(t, func(w *world) {
			loot := tandem.NewMemoryStore()
			_, _ = loot.CompareAndSwap(context.Background(), tandem.Pair{}, w.kept())
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Fatal(err)
			}
			if !w.kept().IsZero() {
				w.Error("the store still keeps the session")
			}
			_, err := w.hello(w.session)
			var ended *tandem.EndedError
			if !errors.As(err, &ended) || ended.Reason != rotation.SignedOut {
				w.Errorf("got %v", err)
			}
			w.expectEnds() // ann knows: she did it herself

			elsewhere := w.open(loot)
			w.expire()
			if _, err := w.hello(elsewhere); !errors.As(err, &ended) || ended.Reason != rotation.SignedOut {
				w.Errorf("the server let a copy go on: %v", err)
			}
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Errorf("a second time: %v", err)
			}
		})
	})
	t.Run("during a refresh stays signed out", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.expire()
			w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path == testserver.Refresh {
					time.Sleep(time.Second)
				}
				return false
			})
			done := make(chan error)
			go func() {
				_, err := w.hello(w.session)
				done <- err
			}()
			synctest.Wait()
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Fatal(err)
			}
			var ended *tandem.EndedError
			if err := <-done; !errors.As(err, &ended) {
				w.Errorf("the waiting call got %v", err)
			}
			if !w.kept().IsZero() || w.session.Status().SignedIn {
				w.Error("the tokens came back")
			}
			w.expectEnds()
		})
	})
	t.Run("reaches the server later if it can't be reached now", func(t *testing.T) {
		inWorld(t, func(w *world) {
			loot := tandem.NewMemoryStore()
			_, _ = loot.CompareAndSwap(context.Background(), tandem.Pair{}, w.kept())
			w.answer(testserver.Logout, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
			err := w.session.SignOut(w.Context())
			if _, ok := errors.AsType[*tandem.TemporaryError](err); !ok {
				w.Errorf("got %v, want a TemporaryError", err)
			}
			if w.session.Status().SignedIn || !w.kept().IsZero() {
				w.Error("not signed out here")
			}
			w.server.Script(nil)
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Errorf("again: %v", err)
			}
			w.expire()
			if _, err := w.hello(w.open(loot)); err == nil {
				w.Error("the server was not told")
			}
		})
	})
	t.Run("in one process is heard of in another", func(t *testing.T) {
		inWorld(t, func(w *world) {
			other := w.open(w.store)
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Fatal(err)
			}
			w.expire()
			_, err := w.hello(other)
			if _, ok := errors.AsType[*tandem.EndedError](err); !ok {
				w.Errorf("got %v", err)
			}
			w.expectEnds("signed_out")
		})
	})
}

// OnEnd is not told of the session's own SignOut, even if the store takes a while to
// return once it has forgotten the pair.
func TestOnEndIsNotToldOfOnesOwnSignOut(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		store.Hook(faultystore.Hooks{Swap: func(_ context.Context, _, next tandem.Pair, swap func() (bool, error)) (bool, error) {
			swapped, err := swap()
			if next.IsZero() {
				time.Sleep(20 * time.Millisecond) // a folder is synced
			}
			return swapped, err
		}})
		s := w.open(store, signInAgain(w, "ann", "nna"))
		w.server.Script(slowly(10 * time.Millisecond))
		w.expire()
		go func() { _, _ = s.Token(context.Background()) }()
		synctest.Wait()
		if err := s.SignOut(w.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		w.expectEnds()
		if s.Status().SignedIn {
			t.Error("signed in, after SignOut")
		}
	})
}

// Calling SignOut again tells the server again, even if the store still fails.
func TestSignOutAgainWhileTheStoreFails(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s := w.open(shaky)
		shaky.FailSwaps(errors.New("read-only file system"))
		w.answer(testserver.Logout, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		_ = s.SignOut(w.Context())
		w.server.Script(nil)
		before := w.server.Served(testserver.Logout)
		_ = s.SignOut(w.Context())
		if n := w.server.Served(testserver.Logout) - before; n == 0 {
			t.Error("the server was not told")
		}
	})
}

// SignOut signs out in this process, even if the store cannot forget the pair.
func TestSignOutWhenTheStoreCannotForget(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := faultystore.New(w.store)
		s := w.open(shaky)
		shaky.FailSwaps(errors.New("read-only file system"))
		err := s.SignOut(w.Context())
		if err == nil {
			t.Error("no error though the store still keeps the pair")
		}
		if s.Status().SignedIn {
			t.Errorf("signed in, after SignOut: %v", s.Status())
		}
		if token, err := s.Token(w.Context()); err == nil {
			t.Errorf("an access token of %d bytes after SignOut", len(token))
		}
	})
}

// Signing out revokes the token that is good, not the older one that the store has.
func TestSignOutRevokesTheTokenInUse(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := faultystore.New(c.store)
		s := c.openOn(shaky)
		shaky.FailSwaps(errors.New("disk full"))
		c.expire()
		c.order(s, http.StatusOK)
		shaky.Well()
		if err := s.SignOut(c.Context()); err != nil {
			t.Fatal(err)
		}
		if len(c.server.revoked) != 1 || c.server.revoked[0] != c.server.current {
			t.Errorf("revoked %v; what is good is %s", c.server.revoked, c.server.current)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// A pair that arrives after the sign-out is revoked: nobody else knows of it.
func TestSignOutDuringARefreshElsewhere(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.hold = make(chan struct{})
		c.expire()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = c.session.Token(context.Background()) }()
		synctest.Wait()
		if err := c.session.SignOut(c.Context()); err != nil {
			t.Fatal(err)
		}
		close(c.server.hold)
		<-done
		synctest.Wait()
		last := ""
		if n := len(c.server.revoked); n > 0 {
			last = c.server.revoked[n-1]
		}
		if last != c.server.current {
			t.Errorf("revoked %v; %s is good at the server still, and nobody has it", c.server.revoked, c.server.current)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// A pair that arrives after a sign-out is revoked, even if the store fails.
func TestAPairAfterASignOutAndAStoreThatFails(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := faultystore.New(c.store)
		s := c.openOn(shaky)
		c.server.hold = make(chan struct{})
		c.expire()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = s.Token(context.Background()) }()
		synctest.Wait()
		if err := s.SignOut(c.Context()); err != nil {
			t.Fatal(err)
		}
		shaky.FailSwaps(errors.New("disk full"))
		close(c.server.hold)
		<-done
		synctest.Wait()
		if n := len(c.server.revoked); n == 0 || c.server.revoked[n-1] != c.server.current {
			t.Errorf("revoked %v; %s is good still, and nobody has it", c.server.revoked, c.server.current)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// Signed out elsewhere, a pair that the store has not got is revoked.
func TestSignedOutElsewhereWithAPairInMemory(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := faultystore.New(c.store)
		s := c.openOn(shaky)
		shaky.FailSwaps(errors.New("disk full"))
		c.expire()
		c.order(s, http.StatusOK)
		if err := c.session.SignOut(c.Context()); err != nil {
			t.Fatal(err)
		}
		c.expire()
		_, err := s.Token(c.Context())
		if n := len(c.server.revoked); c.server.revoked[n-1] != c.server.current {
			t.Errorf("%v; revoked %v; %s is good still, and nobody has it", err, c.server.revoked, c.server.current)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// A request begins after SignOut, while a refresh that was under way fails: it hears of the
// end, and not that the session lives on.
func TestARequestAfterSignOutDuringARefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		hold := make(chan struct{})
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, _ *http.Request) {
			<-hold
			rw.Header().Set("Retry-After", "300")
			rw.WriteHeader(http.StatusServiceUnavailable)
		})
		w.expire()
		first := make(chan struct{})
		ctx, giveUp := context.WithCancel(context.Background())
		go func() { defer close(first); _, _ = w.session.Token(ctx) }()
		synctest.Wait() // the refresh is under way
		giveUp()
		if err := w.session.SignOut(w.Context()); err != nil {
			t.Fatal(err)
		}
		second := make(chan error, 1)
		go func() {
			defer func() {
				if p := recover(); p != nil {
					second <- fmt.Errorf("PANIC: %v", p)
				}
			}()
			_, err := w.session.Token(context.Background())
			second <- err
		}()
		synctest.Wait() // it has joined
		close(hold)
		err := <-second
		<-first
		if _, ended := errors.AsType[*tandem.EndedError](err); !ended {
			t.Errorf("got %v, want an EndedError", err)
		}
	})
}

// SignOut comes after the store has the pair of a sign-in, and before the session uses it.
func TestSignOutDuringSignIn(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store)
		var did bool
		store.Hook(faultystore.Hooks{Swap: func(_ context.Context, _, next tandem.Pair, swap func() (bool, error)) (bool, error) {
			ok, err := swap()
			if !did && !next.IsZero() {
				did = true
				if err := s.SignOut(context.Background()); err != nil {
					t.Error(err)
				}
			}
			return ok, err
		}})
		err := s.SignIn(w.Context(), "ann", "nna")
		if s.Status().SignedIn && w.kept().IsZero() {
			t.Errorf("SignIn: %v; signed in as %v, and the store has nothing", err, s.Status())
		}
	})
}

// SignOut comes while a session that had no pair takes up the one of another process.
func TestSignOutDuringAdopt(t *testing.T) {
	inWorld(t, func(w *world) {
		store := tandem.NewMemoryStore()
		var s *tandem.Session
		armed := false
		s = w.open(store, func(c *tandem.Config) {
			c.RefreshAhead = 0
			c.Jitter = func(limit time.Duration) time.Duration {
				if armed {
					armed = false
					if err := s.SignOut(context.Background()); err != nil {
						t.Error(err)
					}
				}
				return limit / 2
			}
		})
		other := w.open(store)
		if err := other.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		armed = true
		_, _ = s.Token(w.Context())
		if s.Status().SignedIn {
			pair, _ := store.Load(w.Context())
			t.Errorf("signed in after SignOut; the store has %v", pair)
		}
	})
}

// The store hangs: SignOut leaves time for telling the server.
func TestSignOutWhileTheStoreHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store)
		s := w.open(store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if err := r.Context().Err(); err != nil {
					return nil, err // as http.Transport does
				}
				return base.RoundTrip(r)
			})
		})
		store.Hook(faultystore.Hooks{Load: func(ctx context.Context, _ func() (tandem.Pair, error)) (tandem.Pair, error) {
			<-ctx.Done()
			return tandem.Pair{}, ctx.Err()
		}})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		err := s.SignOut(ctx)
		if n := w.server.Served(testserver.Logout); n != 1 {
			t.Errorf("the server was told %d times: %v", n, err)
		}
	})
}
