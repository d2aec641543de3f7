package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
)

func TestTheEndIsToldOnceWithItsReason(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endAtServer()
		w.expire()
		if got := w.together(100); got.ended != 100 {
			w.Errorf("%+v", got)
		}
		if got := w.together(10); got.ended != 10 {
			w.Errorf("later calls: %+v", got)
		}
		w.expectServed(testserver.Refresh, 1) // a dead session is not asked for again and again
		w.expectEnds("revoked")
		if !w.kept().IsZero() {
			w.Error("the store still keeps the dead session")
		}
		if w.session.Status().SignedIn {
			w.Error("the session still says that somebody is signed in")
		}
	})
}

// signInAgain is an OnEnd that signs a user in where the last one's session
// ended.
func signInAgain(w *world, name, password string) func(*tandem.Config) {
	return func(c *tandem.Config) {
		c.OnEnd = func(ctx context.Context, s *tandem.Session, end *tandem.EndedError) {
			w.mu.Lock()
			w.ends = append(w.ends, end)
			w.mu.Unlock()
			time.Sleep(time.Minute) // a person types
			if err := s.SignIn(ctx, name, password); err != nil {
				w.Errorf("sign in again: %v", err)
			}
		}
	}
}

func TestSigningInAgainInPlace(t *testing.T) {
	inWorld(t, func(w *world) {
		w.session = w.open(w.store, signInAgain(w, "ann", "nna"))
		w.endAtServer()
		w.age()
		// Half of the calls meet the end, half come while the person types.
		var late outcome
		var calls sync.WaitGroup
		calls.Go(func() {
			time.Sleep(time.Second)
			late = w.together(50)
		})
		if got := w.together(50); got.answered != 50 {
			w.Errorf("%+v", got)
		}
		calls.Wait()
		if late.answered != 50 {
			w.Errorf("calls during the sign-in: %+v", late)
		}
		w.expectServed(testserver.Login, 2)
		w.expectEnds("revoked")
	})
}

// Whoever mistypes is asked again as often as the callback says, and no more often;
// the requests wait for how it comes out.
func TestAWrongPasswordAtASignInInPlace(t *testing.T) {
	for name, c := range map[string]struct {
		typed []string
		want  outcome
	}{
		"the third try is right": {[]string{"x", "y", "nna"}, outcome{answered: 50}},
		"all three are wrong":    {[]string{"x", "y", "z"}, outcome{ended: 50}},
		"nobody is there":        {nil, outcome{ended: 50}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.session = w.open(w.store, func(config *tandem.Config) {
					config.OnEnd = func(ctx context.Context, s *tandem.Session, _ *tandem.EndedError) {
						for _, password := range c.typed {
							time.Sleep(time.Minute)
							if err := s.SignIn(ctx, "ann", password); !errors.Is(err, tandem.ErrInvalidCredentials) {
								return
							}
						}
					}
				})
				w.endAtServer()
				w.expire()
				if got := w.together(50); got != c.want {
					w.Errorf("%+v, want %+v", got, c.want)
				}
				w.expectServed(testserver.Login, 1+len(c.typed))
			})
		})
	}
}

// OnEnd may sign in with a refresh token alone.
func TestOnEndSignsInWithARefreshTokenAlone(t *testing.T) {
	withTextbook(t, func(c *client) {
		refresher, _ := tandem.NewOAuth2(c.oauth2)
		s, err := tandem.Open(c.Context(), c.store, tandem.Config{
			Refresher: refresher, Origins: []string{oauth2URL}, Transport: c.oauth2.Transport, RefreshAhead: -1,
			OnEnd: func(ctx context.Context, s *tandem.Session, _ *tandem.EndedError) {
				c.server.mu.Lock()
				g := c.server.next()
				c.server.mu.Unlock()
				if err := s.SignInWith(ctx, "ann", tandem.Grant{RefreshToken: g.RefreshToken}); err != nil {
					t.Error(err)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		c.server.mu.Lock()
		c.server.current = "nobody's"
		c.server.mu.Unlock()
		c.expire()
		if status, err := get(s.Client(), ordersURL); err != nil {
			t.Errorf("signed in again in place, and the request that waited: %d, %v", status, err)
		}
	})
}

func TestNoRequestIsSentInAnotherUsersName(t *testing.T) {
	t.Run("bob signs in where ann's session ended", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.session = w.open(w.store, signInAgain(w, "bob", "bbo"))
			w.endAtServer()
			w.expire()
			if _, err := w.hello(w.session); !errors.Is(err, tandem.ErrUserChanged) {
				w.Errorf("got %v, want ErrUserChanged", err)
			}
			w.expectServed(testserver.Hello, 0)
			w.mustHello(w.session)
		})
	})
	t.Run("bob signs in while ann's request is out", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.answer(testserver.Hello, func(rw http.ResponseWriter, _ *http.Request) {
				time.Sleep(time.Second)
				rw.WriteHeader(http.StatusUnauthorized)
			})
			failed := make(chan error)
			go func() {
				_, err := w.hello(w.session)
				failed <- err
			}()
			synctest.Wait()
			if err := w.session.SignIn(w.Context(), "bob", "bbo"); err != nil {
				w.Fatal(err)
			}
			if err := <-failed; !errors.Is(err, tandem.ErrUserChanged) {
				w.Errorf("got %v, want ErrUserChanged", err)
			}
			w.expectServed(testserver.Hello, 1)
		})
	})
}

func TestOnEndMayCloseTheSession(t *testing.T) {
	inWorld(t, func(w *world) {
		w.session = w.open(w.store, func(c *tandem.Config) {
			c.OnEnd = func(_ context.Context, s *tandem.Session, _ *tandem.EndedError) { s.Close() }
		})
		w.endAtServer()
		w.expire()
		if _, err := w.hello(w.session); !errors.Is(err, tandem.ErrClosed) {
			w.Errorf("got %v, want ErrClosed", err)
		}
	})
}

func TestOnEndMayCallTheServerAndHearsOfTheEnd(t *testing.T) {
	inWorld(t, func(w *world) {
		var heard error
		w.session = w.open(w.store, func(c *tandem.Config) {
			c.OnEnd = func(ctx context.Context, s *tandem.Session, _ *tandem.EndedError) { _, heard = s.Token(ctx) }
		})
		w.endAtServer()
		w.expire()
		_, _ = w.hello(w.session)
		if _, ok := errors.AsType[*tandem.EndedError](heard); !ok {
			w.Errorf("inside OnEnd: %v, want an EndedError", heard)
		}
	})
}

// One of two sessions on a store is told that the session has ended, while the
// other has just signed in anew.
func TestTheLoserOfARaceLeavesTheWinnersTokens(t *testing.T) {
	inWorld(t, func(w *world) {
		other := w.open(struct{ tandem.Store }{w.store})
		w.endAtServer()
		w.expire()
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == testserver.Refresh {
				w.server.Script(nil)
				if err := other.SignIn(context.Background(), "ann", "nna"); err != nil {
					w.Error(err)
				}
			}
			return false
		})
		w.mustHello(w.session)
		w.expectEnds()
		if w.kept().IsZero() {
			w.Error("the winner's tokens are gone")
		}
	})
}

// What another process does with the store is noticed at once by a program that asks.
func TestReload(t *testing.T) {
	inWorld(t, func(w *world) {
		other := w.open(w.store)
		reload := func() {
			if err := w.session.Reload(w.Context()); err != nil {
				w.Fatal(err)
			}
		}
		w.expire()
		w.mustHello(other)
		reload()
		w.mustHello(w.session)
		w.expectServed(testserver.Refresh, 1)

		if err := other.SignIn(w.Context(), "bob", "bbo"); err != nil {
			t.Fatal(err)
		}
		reload()
		if got := w.session.Status(); got.Username != "bob" {
			t.Errorf("bob has signed in: %+v", got)
		}

		if err := other.SignOut(w.Context()); err != nil {
			t.Fatal(err)
		}
		reload()
		var ended *tandem.EndedError
		if _, err := w.hello(w.session); !errors.As(err, &ended) || ended.Reason != rotation.SignedOut {
			t.Errorf("bob has signed out: %v", err)
		}
		w.expectEnds("signed_out")

		if err := other.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		reload()
		if got := w.session.Status(); got.Username != "ann" {
			t.Errorf("ann has signed in: %+v", got)
		}
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		if err := w.session.Reload(ctx); !errors.Is(err, context.Canceled) || !w.session.Status().SignedIn {
			t.Errorf("a look that was given up: %v", err)
		}
	})
}

func TestSignInSaysWhatIsWrong(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(tandem.NewMemoryStore())
		if _, err := s.Token(w.Context()); !errors.Is(err, tandem.ErrNotSignedIn) {
			w.Errorf("before: %v, want ErrNotSignedIn", err)
		}
		if err := s.SignIn(w.Context(), "ann", "wrong"); !errors.Is(err, tandem.ErrInvalidCredentials) {
			w.Errorf("wrong password: %v", err)
		}
		w.answer(testserver.Login, func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Retry-After", "7")
			rw.WriteHeader(http.StatusTooManyRequests)
		})
		err := s.SignIn(w.Context(), "ann", "nna")
		var temporary *tandem.TemporaryError
		if !errors.As(err, &temporary) || time.Until(temporary.RetryAt) != 7*time.Second {
			w.Errorf("too many attempts: %v", err)
		}
		w.expectServed(testserver.Refresh, 0)
	})
}

func TestClose(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.answer(testserver.Refresh, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		waiting := make(chan error)
		go func() {
			_, err := w.session.Token(context.Background())
			waiting <- err
		}()
		synctest.Wait()
		w.session.Close()
		w.session.Close()
		if err := <-waiting; !errors.Is(err, tandem.ErrClosed) {
			w.Errorf("the waiting call got %v", err)
		}
		if _, err := w.hello(w.session); !errors.Is(err, tandem.ErrClosed) {
			w.Errorf("a later call got %v", err)
		}
		if w.kept().IsZero() {
			w.Error("closing signed ann out")
		}
		w.server.Script(nil)
		w.mustHello(w.open(w.store))
	})
}
