package server_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// slowDirectory answers when a test lets it.
type slowDirectory struct {
	people
	asked atomic.Int64
	let   chan struct{}
}

func newSlowDirectory() *slowDirectory {
	return &slowDirectory{people: somePeople(), let: make(chan struct{})}
}

func (d *slowDirectory) Authenticate(ctx context.Context, username, password string) (server.Identity, error) {
	d.asked.Add(1)
	select {
	case <-d.let:
	case <-ctx.Done():
		return server.Identity{}, ctx.Err()
	}
	return d.people.Authenticate(ctx, username, password)
}

// A sign-in under way does not count as failed. Ten passwords of a user may be wrong, so
// the directory checks no more than ten at once; the other sign-ins wait for those.
func TestManySignInsOfAUserAtTheSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := newSlowDirectory()
		h := newHarness(t, func(c *server.Config) { c.Directory, c.Now = directory, time.Now })
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() { h.signIn("alice", "wonderland").want(t, 200, "", "") })
		}
		synctest.Wait()
		if n := directory.asked.Load(); n != 10 {
			t.Errorf("%d passwords are checked at once, want 10", n)
		}
		close(directory.let)
		all.Wait()
	})
}

// Of twelve wrong passwords at the same moment the directory checks ten.
func TestManyGuessesAtTheSameMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := newSlowDirectory()
		h := newHarness(t, func(c *server.Config) { c.Directory, c.Now = directory, time.Now })
		var wrong, limited atomic.Int64
		var all sync.WaitGroup
		for range 12 {
			all.Go(func() {
				switch a := h.signIn("alice", "guess"); a.status {
				case http.StatusUnauthorized:
					wrong.Add(1)
				case http.StatusTooManyRequests:
					limited.Add(1)
				default:
					t.Errorf("got %d %s", a.status, a.text)
				}
			})
		}
		synctest.Wait()
		close(directory.let)
		all.Wait()
		if wrong.Load() != 10 || limited.Load() != 2 {
			t.Errorf("%d were looked at and %d limited, want 10 and 2", wrong.Load(), limited.Load())
		}
	})
}

// The wait for a turn is bounded, and ends when the client disconnects.
func TestWaitingForATurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := newSlowDirectory()
		h := newHarness(t, func(c *server.Config) {
			c.Directory, c.Now, c.SignIn.Concurrency = directory, time.Now, 1
		})
		var all sync.WaitGroup
		all.Go(func() { h.signIn("alice", "wonderland").want(t, 200, "", "") })
		synctest.Wait()
		began := time.Now()
		a := h.signIn("bob", "builder")
		a.want(t, 503, "temporarily_unavailable", "")
		if waited := time.Since(began); waited != 5*time.Second || a.header.Get("Retry-After") == "" {
			t.Errorf("waited for %v, Retry-After %q", waited, a.header.Get("Retry-After"))
		}
		ctx, cancel := context.WithCancel(t.Context())
		all.Go(func() {
			h.sendWith(ctx, request{method: "POST", path: "/auth/login", body: object("username", "bob", "password", "builder")})
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(directory.let)
		all.Wait()
		if n := directory.asked.Load(); n != 1 {
			t.Errorf("the directory was asked %d times, want once", n)
		}
		h.signIn("bob", "builder").want(t, 200, "", "")
	})
}

// A directory that panics gives its turn back.
func TestATurnSurvivesAPanic(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.Directory, c.SignIn.Concurrency = panickyDirectory{}, 1 })
	for range 20 {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic did not get through")
				}
			}()
			h.signIn("alice", "wonderland")
		}()
	}
}

type panickyDirectory struct{}

func (panickyDirectory) Authenticate(context.Context, string, string) (server.Identity, error) {
	panic("a bug")
}

// One network with many users and many connections gets every other turn.
func TestNetworksTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		directory := newSlowDirectory()
		h := newHarness(t, func(c *server.Config) {
			c.Directory, c.Now, c.SignIn.Concurrency = directory, time.Now, 1
			c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}
		})
		from := func(addr, username, password string) answer {
			return h.send(request{
				method: "POST", path: "/auth/login", body: object("username", username, "password", password),
				header: http.Header{"X-Forwarded-For": {addr}},
			})
		}
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() { from(fmt.Sprintf("2001:db8::%x:0:0:0:1", i), fmt.Sprint("somebody", i), "a guess") })
		}
		synctest.Wait()
		done := make(chan answer, 1)
		all.Go(func() { done <- from("203.0.113.1", "bob", "builder") })
		synctest.Wait()
		for range 3 { // the sign-in under way, one of the waiting ones, and bob's
			directory.let <- struct{}{}
			synctest.Wait()
		}
		select {
		case a := <-done:
			a.want(t, 200, "", "")
		default:
			t.Errorf("bob still waits after %d others", directory.asked.Load())
		}
		close(directory.let)
		all.Wait()
	})
}
