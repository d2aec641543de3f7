package server_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// A storeThatCannotEnd fails to end sessions while it is told to.
type storeThatCannotEnd struct {
	server.Store
	fails *atomic.Bool
}

func (s storeThatCannotEnd) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	if s.fails.Load() {
		return false, errors.New("the disk is full")
	}
	return s.Store.End(ctx, id, end)
}

// A user signs out while the store is away. The browser is signed out at once, and the
// server as soon as the store is back: without its cookies the browser cannot try again.
func TestASignOutByCookieWhileTheStoreIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fails atomic.Bool
		h := newHarness(t, func(c *server.Config) { c.Store = storeThatCannotEnd{c.Store, &fails} })
		b := h.browser()
		a := b.signedIn()
		thief := b.copy()
		fails.Store(true)
		b.signOut(a.SessionID).want(t, 503, "temporarily_unavailable", "")
		b.wantCookies(t, 0)
		time.Sleep(time.Minute) // synctest time
		synctest.Wait()
		fails.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		h.refreshIsRefused(thief, a.SessionID, "signed_out")
	})
}

// A user signs in while the earlier session cannot be ended. The sign-in fails, and the
// browser keeps what it has: two live sessions in one jar could be mistaken for each other.
func TestASignInThatCannotEndTheEarlierSession(t *testing.T) {
	var fails atomic.Bool
	h := newHarness(t, func(c *server.Config) { c.Store = storeThatCannotEnd{c.Store, &fails} })
	b := h.browser()
	a := b.signedIn()
	fails.Store(true)
	failed := b.send("/auth/login", object("username", "bob", "password", "builder"))
	failed.want(t, 503, "temporarily_unavailable", "")
	if len(failed.cookies) != 0 {
		t.Errorf("it sets %v", failed.cookies)
	}
	if next := b.refresh(""); next.SessionID != a.SessionID {
		t.Errorf("got %s", next.text)
	}
	fails.Store(false)
	b.signIn("bob", "builder").want(t, 200, "", "")
	b.wantCookies(t, 1)
}

// countingKeys count how often the server looks for keys that it does not know.
type countingKeys struct {
	changingKeys
	looks int
}

func (k *countingKeys) Reload(context.Context) error { k.looks++; return nil }

// A jar full of cookies whose keys are unknown, such as those of another server on
// localhost, costs one look for keys and no session.
func TestCookiesOfAnotherServer(t *testing.T) {
	var keys countingKeys
	h := newHarness(t, func(c *server.Config) {
		set, err := server.NewKeySet(c.SigningKey, nil, c.RefreshKeys)
		if err != nil {
			t.Fatal(err)
		}
		keys.set.Store(set)
		c.Keys, c.SigningKey, c.RefreshKeys = &keys, server.SigningKey{}, nil
	})
	other := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	for range 20 {
		elsewhere := other.browser()
		elsewhere.signedIn()
		b.jar.SetCookies(b.send("/auth/x", "").from, elsewhere.held())
	}
	keys.looks = 0
	b.refresh(a.SessionID).want(t, 200, "", "")
	if keys.looks != 0 {
		t.Errorf("%d looks for the keys of other sessions' cookies", keys.looks)
	}
	b.refresh("").want(t, 200, "", "")
	if keys.looks != 1 {
		t.Errorf("%d looks for keys, want 1", keys.looks)
	}
	b.signIn("bob", "builder").want(t, 200, "", "")
	b.signOut("").want(t, 204, "", "")
	b.wantCookies(t, 20) // they are the other server's
	b.refresh("").want(t, 401, "cookie_missing", "")
}

// An operator has revoked the refresh key: the session is over, as in bearer mode.
func TestACookieOfARevokedKey(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	key, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.RefreshKeys = []rotation.Key{key}
	h.server = h.start(h.cfg)
	h.refreshIsRefused(b, a.SessionID, "unknown")
	out := b.signOut(a.SessionID)
	out.want(t, http.StatusBadRequest, "invalid_request", "")
	b.wantCookies(t, 0)
}
