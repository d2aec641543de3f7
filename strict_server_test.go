package tandem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
)

// That holds where refresh tokens are good for one use.
func TestAStoreThatIsUnsureAndAStrictServer(t *testing.T) {
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

// What the store has failed to keep it keeps once it is well again, at the close at the
// latest.
func TestCloseKeepsWhatTheStoreHasNotGot(t *testing.T) {
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
