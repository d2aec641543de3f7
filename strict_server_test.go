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
)

// A store that has saved the pair, and said that it has not, costs no second refresh at a
// server that takes each refresh token once.
func TestAStoreThatSavesAndFailsAndAStrictServer(t *testing.T) {
	withTextbook(t, func(c *client) {
		unsure := faultystore.New(c.store)
		s := c.openOn(unsure)
		unsure.SaveAndFail(1, errors.New("sync: input/output error"))
		c.expire()
		c.order(s, http.StatusOK)
		c.expire()
		ctx, cancel := context.WithCancel(c.Context())
		defer cancel()
		c.server.change = func(map[string]any) {}
		c.server.onUse = func(n int) {
			if n >= 200 {
				cancel()
			}
		}
		if _, err := s.Token(ctx); err != nil {
			t.Errorf("%v after %d refreshes; the server was given %v …", err, len(c.server.used), c.server.used[:6])
		}
	})
}

// The store lacks the pair in use, and the server is busy. While the session remembers
// that, it does not adopt the older pair that the store has.
func TestAFailureDoesNotBringBackAnOlderPair(t *testing.T) {
	for _, tells := range []bool{false, true} {
		t.Run(fmt.Sprint("expires_in=", tells), func(t *testing.T) {
			withTextbook(t, func(c *client) {
				if !tells {
					c.server.change = func(a map[string]any) { delete(a, "expires_in") }
				}
				c.expire()
				c.order(c.session, http.StatusOK) // refresh-2, which lives for ever
				shaky := faultystore.New(c.store)
				s := c.openOn(shaky)
				shaky.FailSwaps(errors.New("disk full"))
				revokeAccess := func() {
					c.server.mu.Lock()
					c.server.access = "gone"
					c.server.mu.Unlock()
				}
				revokeAccess()
				c.order(s, http.StatusOK) // refresh-3, which the store has not got
				revokeAccess()
				c.server.status, c.server.code = http.StatusServiceUnavailable, "busy"
				_, _ = get(s.Client(), ordersURL) // fails
				c.server.status = 0
				time.Sleep(10 * time.Second)
				_, _ = get(s.Client(), ordersURL) // may be refused once more
				time.Sleep(10 * time.Second)
				if status, err := get(s.Client(), ordersURL); err != nil || status != 200 {
					t.Errorf("%d, %v; the server was given %v, good is %s", status, err, c.server.used, c.server.current)
				}
			})
		})
	}
}

// The store is well for some seconds while a refresh is under way, and saves a pair whose
// refresh token has been used.
func TestAStoreThatIsWellForAMoment(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := faultystore.New(c.store)
		s := c.openOn(shaky)
		full := errors.New("disk full")
		shaky.FailSwaps(full)
		c.expire()
		c.order(s, http.StatusOK) // refresh-2 is not kept
		token, _ := s.Token(c.Context())
		s.Invalidate(token)
		hold := make(chan struct{})
		c.server.mu.Lock()
		c.server.hold = hold
		c.server.mu.Unlock()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = s.Token(context.Background()) }()
		synctest.Wait() // refresh-2 is being used
		shaky.Well()    // the disk is well
		time.Sleep(5 * time.Second)
		shaky.FailSwaps(full) // and full again
		c.server.mu.Lock()
		c.server.hold = nil
		c.server.mu.Unlock()
		close(hold)
		<-done
		shaky.Well()
		c.expire()
		if status, err := get(s.Client(), ordersURL); err != nil {
			t.Errorf("%d, %v; the server was given %v, good is %s", status, err, c.server.used, c.server.current)
		}
	})
}

// A session saves what its store has failed to save once the store is well, when it is
// closed at the latest.
func TestCloseSavesThePairInUse(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := faultystore.New(c.store)
		s := c.openOn(shaky)
		shaky.FailSwaps(errors.New("disk full"))
		c.expire()
		c.order(s, http.StatusOK)
		shaky.Well()
		for range 100 { // there is traffic, and the store is well
			c.order(s, http.StatusOK)
		}
		s.Close()
		c.expire()
		if status, err := get(c.openOn(c.store).Client(), ordersURL); err != nil {
			t.Errorf("after the restart: %d, %v; given %v", status, err, c.server.used)
		}
	})
}

// A pair that was adopted from the store may be an old one: if the API refuses its access
// token, the session refreshes.
func TestAnAdoptedTokenThatIsRefusedIsRefreshed(t *testing.T) {
	withTextbook(t, func(c *client) {
		other := c.openOn(c.store)
		time.Sleep(30 * time.Second)
		token, _ := other.Token(c.Context())
		other.Invalidate(token)
		if _, err := other.Token(c.Context()); err != nil { // access-2, in the store
			t.Fatal(err)
		}
		c.server.mu.Lock()
		c.server.access = "new keys: none is good any more"
		c.server.mu.Unlock()
		time.Sleep(time.Second)
		for i := range 9 {
			status, err := get(c.session.Client(), ordersURL)
			if i == 0 { // it was sent twice
				continue
			}
			if status != http.StatusOK || err != nil {
				t.Errorf("request %d: %d, %v after %d refreshes", i+1, status, err, c.server.refreshes())
			}
			time.Sleep(time.Second)
		}
	})
}

// A forgiver is a refresher whose server has Tandem's protocol, or not.
type forgiver struct {
	tandem.RefresherFunc
	forgives bool
}

func (f forgiver) ForgivesRetry() bool { return f.forgives }

// A Refresher of the program's own says whether its server forgives. What the session
// presents after its store has failed to save a pair depends on that: the token that the
// store has, or the one that it lacks.
func TestARefresherSaysWhetherItsServerForgives(t *testing.T) {
	for name, c := range map[string]struct {
		wrap func(tandem.RefresherFunc) tandem.Refresher
		want string
	}{
		"it forgives":     {func(f tandem.RefresherFunc) tandem.Refresher { return forgiver{f, true} }, "refresh-1 refresh-1 refresh-1"},
		"it does not":     {func(f tandem.RefresherFunc) tandem.Refresher { return forgiver{f, false} }, "refresh-1 new-1 new-2"},
		"nothing is said": {func(f tandem.RefresherFunc) tandem.Refresher { return f }, "refresh-1 new-1 new-2"},
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(cl *client) {
				var presented []string
				store := faultystore.New(cl.store)
				s := cl.openSession(store, c.wrap(func(_ context.Context, p tandem.Pair) (tandem.Grant, error) {
					presented = append(presented, p.RefreshToken)
					n := len(presented)
					return tandem.Grant{AccessToken: fmt.Sprint("access-", n), RefreshToken: fmt.Sprint("new-", n), ExpiresIn: time.Minute}, nil
				}))
				store.FailSwaps(errors.New("disk full"))
				for range 3 {
					cl.expire()
					if _, err := s.Token(cl.Context()); err != nil {
						t.Fatal(err)
					}
				}
				if got := strings.Join(presented, " "); got != c.want {
					t.Errorf("the session presented %s, want %s", got, c.want)
				}
			})
		})
	}
}

// The store has a pair of a time before revisions, and fails to keep its successor. The
// session remembers that the stored pair is the older one.
func TestAPairWithoutARevisionDoesNotComeBack(t *testing.T) {
	for _, busy := range []bool{true, false} {
		t.Run(fmt.Sprint("busy=", busy), func(t *testing.T) {
			withTextbook(t, func(c *client) {
				old, _ := c.store.Load(c.Context())
				early := old
				early.Revision = 0
				if ok, err := c.store.CompareAndSwap(c.Context(), old, early); !ok || err != nil {
					t.Fatal(ok, err)
				}
				shaky := faultystore.New(c.store)
				s := c.openOn(shaky)
				shaky.FailSwaps(errors.New("disk full"))
				c.expire()
				c.order(s, http.StatusOK) // refresh-2, which the store has not got
				c.expire()
				if busy {
					c.server.status, c.server.code = http.StatusServiceUnavailable, "busy"
					_, _ = get(s.Client(), ordersURL)
					c.server.status = 0
				} else {
					c.order(s, http.StatusOK) // refresh-3
				}
				c.expire()
				if status, err := get(s.Client(), ordersURL); err != nil || status != 200 {
					t.Errorf("%d, %v; the server was given %v, good is %s", status, err, c.server.used, c.server.current)
				}
			})
		})
	}
}

// Signing in anew forgets the old session, and does not sign it out: at many servers that
// would end the new one, too.
func TestSignInDuringARefreshRevokesNothing(t *testing.T) {
	withTextbook(t, func(c *client) {
		hold := make(chan struct{})
		c.server.mu.Lock()
		c.server.hold = hold
		c.server.mu.Unlock()
		c.expire()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = c.session.Token(context.Background()) }()
		synctest.Wait()
		c.server.mu.Lock()
		c.server.hold = nil
		again := tandem.Grant{AccessToken: "access-again", RefreshToken: c.server.current, ExpiresIn: time.Minute}
		c.server.access = "access-again"
		c.server.mu.Unlock()
		if err := c.session.SignInWith(c.Context(), "ann", again); err != nil {
			t.Fatal(err)
		}
		close(hold)
		<-done
		synctest.Wait()
		c.server.mu.Lock()
		defer c.server.mu.Unlock()
		if len(c.server.revoked) != 0 {
			t.Errorf("revoked: %v; the session in use has %s", c.server.revoked, again.RefreshToken)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// The store takes longer to save a pair than its access token is good for: one call does not
// refresh again and again without a pause.
func TestAStoreThatIsSlowerThanTheTokensLife(t *testing.T) {
	withTextbook(t, func(c *client) {
		c.server.change = func(a map[string]any) { a["expires_in"] = 3 }
		slow := faultystore.New(c.store)
		s := c.openOn(slow)
		slow.Hook(faultystore.Hooks{Swap: func(_ context.Context, _, _ tandem.Pair, swap func() (bool, error)) (bool, error) {
			time.Sleep(4 * time.Second)
			return swap()
		}})
		c.expire()
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		_, err := s.Token(ctx)
		if n := c.server.refreshes(); n > 3 {
			t.Errorf("%d refreshes for one call: %v", n, err)
		}
	})
}

// The refresh token is rotated, and no access token comes with it: the one in use serves on.
func TestARotatedTokenWithAnErrorKeepsTheTokenInUse(t *testing.T) {
	withTextbook(t, func(c *client) {
		store := faultystore.New(c.store)
		n := 0
		s, err := tandem.Open(c.Context(), store, tandem.Config{RefreshAhead: 30 * time.Second, Refresher: forgiver{func(context.Context, tandem.Pair) (tandem.Grant, error) {
			n++
			g := tandem.Grant{AccessToken: fmt.Sprint("access-", n), RefreshToken: fmt.Sprint("new-", n), ExpiresIn: time.Minute}
			if n == 2 {
				g.AccessToken = ""
			}
			return g, nil
		}, true}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		store.FailSwaps(errors.New("disk full"))
		c.expire()
		first, err := s.Token(c.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Second) // 10 s are left
		_, _ = s.Token(c.Context())  // starts a refresh ahead
		synctest.Wait()
		if got, err := s.Token(c.Context()); got != first {
			t.Errorf("%q, %v; want the token that is good for 10 s more", got, err)
		}
	})
}
