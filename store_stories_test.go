package tandem_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// inWorldOn is inWorld on a server of other settings.
func inWorldOn(t *testing.T, story func(w *world), settings func(*server.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: testserver.New(t, settings), store: tandem.NewMemoryStore()}
		w.session = w.open(w.store)
		if err := w.session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		story(w)
		for _, s := range w.opened {
			s.Close()
		}
	})
}

// A store that goes back in time, and cannot be written then, ends nothing.
func TestTheStoreGoesBackAndIsReadOnlyThen(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s := w.open(shaky)
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(s)
		}
		if ok, err := w.store.CompareAndSwap(w.Context(), w.kept(), old); !ok || err != nil {
			t.Fatal(ok, err)
		}
		shaky.fail(errors.New("read-only file system"))
		for i := range 3 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Fatalf("request %d: %v (reuse detected %d times)", i+1, err, w.server.Events(server.EventReuseDetected))
			}
		}
	})
}

// A store that is behind is not believed while a failure is remembered.
func TestALookAtAStoreThatIsBehind(t *testing.T) {
	for _, tells := range []bool{false, true} {
		t.Run(fmt.Sprint("expires_in=", tells), func(t *testing.T) {
			withTextbook(t, func(c *client) {
				if !tells {
					c.server.change = func(a map[string]any) { delete(a, "expires_in") }
				}
				c.expire()
				c.order(c.session, http.StatusOK) // refresh-2, which lives for ever
				shaky := &shakyStore{Store: c.store}
				s := c.openOn(shaky)
				shaky.fail(errors.New("disk full"))
				revokeAccess := func() {
					c.server.mu.Lock()
					c.server.access = "gone"
					c.server.mu.Unlock()
				}
				revokeAccess()
				c.order(s, http.StatusOK) // refresh-3, which the store has not got
				revokeAccess()
				c.server.status, c.server.code = http.StatusServiceUnavailable, "busy"
				_, err := get(s.Client(), ordersURL)
				t.Log("busy:", err)
				c.server.status = 0
				time.Sleep(10 * time.Second)
				status, err := get(s.Client(), ordersURL)
				t.Log("then:", status, err)
				time.Sleep(10 * time.Second)
				if status, err := get(s.Client(), ordersURL); err != nil || status != 200 {
					t.Errorf("%d, %v; the server was given %v, good is %s", status, err, c.server.used, c.server.current)
				}
			})
		})
	}
}

// A disk may be well for a moment, while a refresh is under way.
func TestADiskThatComesAndGoes(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := &shakyStore{Store: c.store}
		s := c.openOn(shaky)
		full := errors.New("disk full")
		shaky.fail(full)
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
		shaky.fail(nil) // the disk is well
		time.Sleep(5 * time.Second)
		shaky.fail(full) // and full again
		c.server.mu.Lock()
		c.server.hold = nil
		c.server.mu.Unlock()
		close(hold)
		<-done
		shaky.fail(nil)
		c.expire()
		if status, err := get(s.Client(), ordersURL); err != nil {
			t.Errorf("%d, %v; the server was given %v, good is %s", status, err, c.server.used, c.server.current)
		}
	})
}

// A store may be read-only for longer than a refresh token lives.
func TestAStoreThatIsReadOnlyForLong(t *testing.T) {
	inWorldOn(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s := w.open(shaky)
		shaky.fail(errors.New("read-only file system"))
		for i := range 40 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Fatalf("after %d minutes of steady work: %v", i+1, err)
			}
		}
	}, func(c *server.Config) { c.RefreshTTL = 30 * time.Minute })
}

// A process knows how far the store has been, even if others have fetched.
func TestTheStoreGoesBackPastWhatWasAdopted(t *testing.T) {
	inWorld(t, func(w *world) {
		other := w.open(w.store)
		old := w.kept()
		for range 3 {
			w.expire()
			w.mustHello(other)
			w.mustHello(w.session) // adopts
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

// slowForget is a store that takes a while to return once it has forgotten (a folder is synced).
type slowForget struct{ tandem.Store }

func (s slowForget) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	ok, err := s.Store.CompareAndSwap(ctx, prev, next)
	if next.IsZero() {
		time.Sleep(20 * time.Millisecond)
	}
	return ok, err
}

// OnEnd is not told of the session's own SignOut, however slow the store is.
func TestOnEndIsNotToldOfOnesOwnSignOut(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(slowForget{w.store}, signInAgain(w, "ann", "nna"))
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

// A token that was taken up from the store may be an old one: if it is refused, the next request refreshes.
func TestATokenThatWasTakenUpIsNoFreshOne(t *testing.T) {
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

// A request with its own Authorization is never sent as the session's user, nor after a redirect.
func TestARedirectedRequestWithItsOwnAuthorization(t *testing.T) {
	inWorld(t, func(w *world) {
		const api = "http://api.test"
		var got string
		s := w.open(w.store, func(c *tandem.Config) {
			c.Origins = []string{api}
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "api.test" {
					got = r.Header.Get("Authorization")
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				}
				return base.RoundTrip(r)
			})
		})
		w.answer("/api/old", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, api+"/x", http.StatusTemporaryRedirect)
		})
		req, _ := http.NewRequest(http.MethodPost, testserver.URL+"/api/old", strings.NewReader("as carol"))
		req.Header.Set("Authorization", "Basic carol")
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if strings.HasPrefix(got, "Bearer ") {
			t.Error("carol's request was sent with ann's access token")
		}
	})
}

// Ann's request is not sent as bob's by way of a redirect elsewhere.
func TestARedirectByWayOfAForeignHost(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(w.store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "sso.test" {
					return &http.Response{
						StatusCode: http.StatusTemporaryRedirect, Body: http.NoBody, Request: r,
						Header: http.Header{"Location": {testserver.URL + testserver.Hello}},
					}, nil
				}
				return base.RoundTrip(r)
			})
		})
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/old" {
				return false
			}
			_ = s.SignIn(context.Background(), "bob", "bbo")
			http.Redirect(rw, r, "http://sso.test/", http.StatusTemporaryRedirect)
			return true
		})
		resp, err := s.Client().Post(testserver.URL+"/api/old", "text/plain", strings.NewReader("ann's diary"))
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			t.Errorf("ann's request was answered with %q", text)
		}
	})
}

// Calling SignOut again tells the server again, even if the store fails still.
func TestSignOutAgainWhileTheStoreFails(t *testing.T) {
	inWorld(t, func(w *world) {
		shaky := &shakyStore{Store: w.store}
		s := w.open(shaky)
		shaky.fail(errors.New("read-only file system"))
		w.answer(testserver.Logout, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusBadGateway) })
		t.Log(s.SignOut(w.Context()))
		w.server.Script(nil)
		before := w.server.Served(testserver.Logout)
		t.Log(s.SignOut(w.Context()))
		if n := w.server.Served(testserver.Logout) - before; n == 0 {
			t.Error("the server was not told")
		}
	})
}

// A sign-in is what the store has, not what it says.
func TestASignInThatFailedAtTheStore(t *testing.T) {
	inWorld(t, func(w *world) {
		unsure := &unsureStore{Store: w.store}
		s := w.open(unsure)
		unsure.left.Store(1)
		err := s.SignIn(w.Context(), "bob", "bbo")
		before := s.Status().Username
		w.expire()
		w.mustHello(s)
		if now := s.Status().Username; now != before {
			t.Errorf("SignIn: %v; it was %s's session, and became %s's a minute later", err, before, now)
		}
	})
}

type hangingStore struct {
	tandem.Store
	hang atomic.Bool
}

func (h *hangingStore) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	if h.hang.Load() {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return h.Store.CompareAndSwap(ctx, prev, next)
}

// A store that hangs holds Close for two seconds at most.
func TestCloseWithAStoreThatHangs(t *testing.T) {
	inWorld(t, func(w *world) {
		store := &hangingStore{Store: w.store}
		s := w.open(store)
		store.hang.Store(true)
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

// A pair that arrives after a sign-out is revoked, even if the store fails.
func TestAPairAfterASignOutAndAStoreThatFails(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := &shakyStore{Store: c.store}
		s := c.openOn(shaky)
		c.server.hold = make(chan struct{})
		c.expire()
		done := make(chan struct{})
		go func() { defer close(done); _, _ = s.Token(context.Background()) }()
		synctest.Wait()
		if err := s.SignOut(c.Context()); err != nil {
			t.Fatal(err)
		}
		shaky.fail(errors.New("disk full"))
		close(c.server.hold)
		<-done
		synctest.Wait()
		if n := len(c.server.revoked); n == 0 || c.server.revoked[n-1] != c.server.current {
			t.Errorf("revoked %v; %s is good still, and nobody has it", c.server.revoked, c.server.current)
		}
	}, func(o *tandem.OAuth2Config) { o.RevocationURL = revokeURL })
}

// A laggingStore reads from a replica that is behind for a while.
type laggingStore struct {
	tandem.Store
	mu    sync.Mutex
	shown *tandem.Pair
	loads int
	stop  func()
}

func (l *laggingStore) Load(ctx context.Context) (tandem.Pair, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.loads++
	if l.loads == 10000 {
		l.stop()
	}
	if err := ctx.Err(); err != nil {
		return tandem.Pair{}, err
	}
	if l.shown != nil {
		return *l.shown, nil
	}
	return l.Store.Load(ctx)
}

// Signing in at a store that reads from a replica gives up in the end.
func TestAStoreThatReadsBehind(t *testing.T) {
	inWorld(t, func(w *world) {
		ctx, cancel := context.WithCancel(w.Context())
		old := w.kept()
		w.expire()
		w.mustHello(w.session)
		store := &laggingStore{Store: w.store, shown: &old, stop: cancel}
		s := w.open(store)
		err := s.SignIn(ctx, "ann", "nna")
		if store.loads > 100 {
			t.Errorf("%d reads in no time: %v", store.loads, err)
		}
	})
}

// A noLock is a store whose lock cannot be had, as in a folder that is read-only.
type noLock struct{ tandem.Store }

func (noLock) Lock(context.Context) (func(), error) {
	return nil, errors.New("open session.lock: read-only file system")
}

func TestALockThatCannotBeTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(noLock{w.store})
		for range 5 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Error(err)
			}
		}
	})
}

// Signed out elsewhere, a pair that the store has not got is revoked.
func TestSignedOutElsewhereWithAPairInMemory(t *testing.T) {
	withTextbook(t, func(c *client) {
		shaky := &shakyStore{Store: c.store}
		s := c.openOn(shaky)
		shaky.fail(errors.New("disk full"))
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

// A program reloads while a refresh is under way, and takes up what another process has
// stored. The store falls back then. What the refresh brings is a sibling of the pair in
// use by now: kept, it would be in the place of the one that the server knows.
func TestAPairThatArrivesAfterAnotherWasAdoptedIsGivenUp(t *testing.T) {
	inWorld(t, func(w *world) {
		old := w.kept()
		arrives := make(chan struct{})
		slow := w.open(w.store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(req *http.Request) (*http.Response, error) {
				resp, err := base.RoundTrip(req)
				if req.URL.Path == testserver.Refresh {
					<-arrives
				}
				return resp, err
			})
		})
		w.expire()
		called := make(chan struct{})
		go func() {
			defer close(called)
			w.mustHello(slow)
		}()
		synctest.Wait() // the answer to slow's refresh is on its way
		w.mustHello(w.session)
		if err := slow.Reload(w.Context()); err != nil {
			t.Fatal(err)
		}
		if ok, err := w.store.CompareAndSwap(w.Context(), w.kept(), old); !ok || err != nil {
			t.Fatal(ok, err)
		}
		close(arrives)
		<-called
		if w.kept() != old {
			t.Error("an overtaken pair was stored")
		}
		for range 2 {
			w.expire()
			w.mustHello(w.session)
			w.expire()
			w.mustHello(slow)
		}
	})
}
