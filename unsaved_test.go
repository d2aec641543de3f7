package tandem_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// A program whose disk was full for two refreshes can be started again.
func TestARestartAfterAStoreFailed(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s := w.open(shaky)
		shaky.fail(errors.New("disk full"))
		for range 2 {
			w.expire()
			w.mustHello(s)
		}
		shaky.fail(nil)
		s.Close()
		time.Sleep(server.DefaultLeeway + time.Second)
		status, err := w.hello(w.open(w.store))
		if err != nil {
			t.Errorf("after the restart: %d, %v (reuse detected %d times)", status, err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// Nor does another process notice, which shares the store and can write to it.
func TestAnotherProcessWhileOneCannotWrite(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s, other := w.open(shaky), w.open(w.store)
		shaky.fail(errors.New("read-only file system"))
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

// An unsureStore is a store that swaps, and says that it has failed: a reply that was lost, a
// folder that could not be synced, a deadline that came a moment too early.
type unsureStore struct {
	tandem.Store
	left atomic.Int64
}

func (s *unsureStore) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	swapped, err := s.Store.CompareAndSwap(ctx, prev, next)
	if s.left.Add(-1) >= 0 {
		return false, errors.New("sync: input/output error")
	}
	return swapped, err
}

// A store that has kept the pair, and said that it has not, costs nothing.
func TestAStoreThatIsUnsure(t *testing.T) {
	inWorld(t, func(w *world) {
		unsure := &unsureStore{Store: w.store}
		s := w.open(unsure)
		unsure.left.Store(1)
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

// That holds where refresh tokens are good for one use.
func TestAStoreThatIsUnsureAndAStrictServer(t *testing.T) {
	withTextbook(t, func(c *client) {
		unsure := &unsureStore{Store: c.store}
		s := c.openOn(unsure)
		unsure.left.Store(1)
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

func (c *client) openOn(store tandem.Store) *tandem.Session {
	c.Helper()
	refresher, err := tandem.NewOAuth2(c.oauth2)
	if err != nil {
		c.Fatal(err)
	}
	s, err := tandem.Open(c.Context(), store, tandem.Config{
		Refresher: refresher, Origins: []string{oauth2URL}, Transport: c.oauth2.Transport, RefreshAhead: -1,
	})
	if err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() { s.Close() })
	return s
}

// What the store has failed to keep it keeps once it is well again, at the close at the
// latest.
func TestCloseKeepsWhatTheStoreHasNotGot(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := &shakyStore{Store: c.store}
		s := c.openOn(shaky)
		shaky.fail(errors.New("disk full"))
		c.expire()
		c.order(s, http.StatusOK)
		shaky.fail(nil)
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

// Signed out is signed out, even if the store cannot forget.
func TestSignOutWhenTheStoreCannotForget(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s := w.open(shaky)
		shaky.fail(errors.New("read-only file system"))
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
		shaky := &shakyStore{Store: c.store}
		s := c.openOn(shaky)
		shaky.fail(errors.New("disk full"))
		c.expire()
		c.order(s, http.StatusOK)
		shaky.fail(nil)
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

// A store that goes back in time, such as a folder that is synced, is not believed: the
// process knows that it has been further.
func TestTheClientsStoreGoesBack(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(w.session)
		}
		if ok, err := w.store.CompareAndSwap(w.Context(), w.kept(), old); !ok || err != nil {
			t.Fatal(ok, err)
		}
		w.expire()
		if _, err := w.hello(w.session); err != nil {
			t.Errorf("%v (reuse detected %d times)", err, w.server.Events(server.EventReuseDetected))
		}
	})
}

// A process that was told to wait takes up what another has got since.
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

// A process that hangs with the lock held stops the others for a while, and not for
// ever: Tandem's own server forgives a refresh without it.
func TestALockThatIsNeverLetGo(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.store.Lock(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.expire()
		for range 3 {
			began := time.Now()
			_, err := w.session.Token(context.Background())
			t.Logf("after %s: %v", time.Since(began), err)
			time.Sleep(31 * time.Second)
			if err == nil {
				return
			}
		}
		t.Error("as long as one process hangs, none refreshes")
	})
}

// A moodyStore fails at random: before it has done what it was asked for, or after.
type moodyStore struct {
	tandem.Store
	mu   sync.Mutex
	rng  *rand.Rand
	well bool
}

var errMoody = errors.New("input/output error")

func (s *moodyStore) fails() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.well && s.rng.IntN(3) == 0
}

func (s *moodyStore) feel(well bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.well = well
}

func (s *moodyStore) Load(ctx context.Context) (tandem.Pair, error) {
	if s.fails() {
		return tandem.Pair{}, errMoody
	}
	return s.Store.Load(ctx)
}

func (s *moodyStore) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	if s.fails() {
		return false, errMoody
	}
	swapped, err := s.Store.CompareAndSwap(ctx, prev, next)
	if s.fails() {
		return false, errMoody
	}
	return swapped, err
}

// Whatever a store does and says, no session ends for it, and where refresh tokens are
// good for one use, none is used twice. Once the store is well, the next program goes
// on.
func TestStoresThatFailAtRandom(t *testing.T) {
	for seed := range uint64(60) {
		withTextbook(t, func(c *client) {
			store := &moodyStore{Store: c.store, rng: rand.New(rand.NewPCG(seed, 2)), well: true}
			s := c.openOn(store)
			store.feel(false)
			for range 40 {
				c.expire()
				var ended *tandem.EndedError
				if _, err := get(s.Client(), ordersURL); errors.As(err, &ended) {
					t.Fatalf("seed %d: a false logout: %v", seed, c.server.used)
				}
			}
			store.feel(true)
			s.Close()
			c.expire()
			c.order(c.openOn(c.store), http.StatusOK)
			seen := map[string]bool{}
			for _, token := range c.server.used {
				if seen[token] {
					t.Errorf("seed %d: %s was used twice", seed, token)
				}
				seen[token] = true
			}
		})
		inWorld(t, func(w *world) {
			store := &moodyStore{Store: w.store, rng: rand.New(rand.NewPCG(seed, 3)), well: true}
			s := w.open(store)
			store.feel(false)
			for i := range 40 {
				w.expire()
				var ended *tandem.EndedError
				if _, err := w.hello(s); errors.As(err, &ended) {
					t.Fatalf("seed %d: a false logout: %v", seed, err)
				}
				if i%5 == 0 { // another program, which can use the store all the time
					w.mustHello(w.open(w.store))
				}
			}
		})
	}
}
