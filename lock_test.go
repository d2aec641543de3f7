package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// lockTimeout is how long a client waits for the store's lock at a server that forgives:
// as long as one attempt may take, with the pause after it. At a strict server it waits
// longer than all attempts of another process may take.
const (
	lockTimeout       = 12 * time.Second
	strictLockTimeout = 48 * time.Second
)

func TestARefreshGoesOnIfTheStoreCannotBeLocked(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store).Locking(w.store)
		store.Hook(faultystore.Hooks{Lock: func(context.Context, func() (func(), error)) (func(), error) {
			return nil, errors.New("open session.lock: read-only file system")
		}})
		s := w.open(store)
		for range 5 {
			w.expire()
			w.mustHello(s)
		}
	})
}

// A process is frozen while it holds the store's lock. A server that forgives lets the
// others refresh without the lock, after the time that one attempt may take.
func TestAFrozenLockHolderDelaysARefreshByOneAttempt(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.store.Lock(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.expire()
		began := time.Now()
		w.mustHello(w.session)
		if took := time.Since(began); took != lockTimeout {
			t.Errorf("the refresh took %s, want %s", took, lockTimeout)
		}
	})
}

// Where each refresh token is good for one use, a refresh without the lock could use one
// that the holder has used. The client gives up instead, and presents nothing.
func TestAFrozenLockHolderAndAStrictServer(t *testing.T) {
	withTextbook(t, func(c *client) {
		unlock, err := c.store.Lock(c.Context())
		if err != nil {
			t.Fatal(err)
		}
		c.expire()
		began := time.Now()
		_, err = c.session.Token(c.Context())
		if _, temporary := errors.AsType[*tandem.TemporaryError](err); !temporary || c.server.refreshes() != 0 {
			t.Errorf("got %v after %d refreshes, want a TemporaryError and none", err, c.server.refreshes())
		}
		if took := time.Since(began); took != strictLockTimeout {
			t.Errorf("the client gave up after %s, want %s", took, strictLockTimeout)
		}
		time.AfterFunc(lockTimeout+time.Second, unlock)
		time.Sleep(time.Second)
		c.order(c.session, http.StatusOK)
		if n := c.server.refreshes(); n != 1 {
			t.Errorf("%d refreshes once the lock was let go, want 1", n)
		}
	})
}

// A program is told that a refresh waits for the lock: after two seconds, and once for
// each refresh.
func TestAnObserverHearsOfARefreshThatWaitsForTheLock(t *testing.T) {
	inWorld(t, func(w *world) {
		w.told()
		unlock, err := w.store.Lock(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(testserver.AccessTTL+1900*time.Millisecond, unlock)
		w.expire()
		w.mustHello(w.session)
		w.expectTold(tandem.EventRefresh) // 1.9 s are not worth telling

		for range 2 {
			unlock, err := w.store.Lock(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			w.expire()
			began := time.Now()
			w.together(100)
			events := w.expectTold(tandem.EventLockWait, tandem.EventRefresh)
			i := slices.IndexFunc(events, func(e tandem.Event) bool { return e.Kind == tandem.EventLockWait })
			if i < 0 || events[i].Duration != 2*time.Second || !events[i].Begun.Equal(began) || events[i].SessionID != w.session.Status().SessionID {
				t.Errorf("the events were %+v, want one of a wait of 2 s", events)
			}
			unlock()
		}
	})
}
