package server_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// changingPeople is a directory that is asked again at every refresh.
type changingPeople struct {
	people
	now func(ctx context.Context, identity server.Identity) (server.Identity, error)
}

func (p *changingPeople) Refresh(ctx context.Context, identity server.Identity) (server.Identity, error) {
	return p.now(ctx, identity)
}

func newChangingPeople(t *testing.T, change func(*server.Config)) (*harness, *changingPeople) {
	people := &changingPeople{people: somePeople()}
	people.now = func(_ context.Context, identity server.Identity) (server.Identity, error) { return identity, nil }
	return newHarness(t, func(c *server.Config) {
		c.Directory = people
		change(c)
	}), people
}

func TestAChangedScopeIsInTheNextAccessToken(t *testing.T) {
	h, people := newChangingPeople(t, func(*server.Config) {})
	a := h.signedIn()
	people.now = func(_ context.Context, identity server.Identity) (server.Identity, error) {
		if want := (server.Identity{Subject: "u-1", Username: "alice", Scope: "read write"}); identity != want {
			t.Errorf("asked about %+v, want %+v", identity, want)
		}
		return server.Identity{Subject: "u-1", Username: "alice.l", Scope: "read"}, nil
	}
	for range 2 { // the second time with the current token again
		b := h.refresh(a.RefreshToken)
		b.want(t, 200, "", "")
		if me := h.call("GET", "/auth/me", b.AccessToken); me.Scope != "read" || me.Username != "alice.l" {
			t.Errorf("got %s", me.text)
		}
	}
}

func TestADisabledUsersSessionEndsAtTheNextRefresh(t *testing.T) {
	o := &observer{}
	h, people := newChangingPeople(t, func(c *server.Config) { c.Observe = o.observe })
	a := h.signedIn()
	o.requests()
	people.now = func(context.Context, server.Identity) (server.Identity, error) {
		return server.Identity{}, server.ErrUserGone
	}
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "revoked")
	if got := o.requests(); !slices.Equal(got, []string{"/auth/refresh-token 400 refused"}) {
		t.Errorf("the outcome of a refresh without tokens is %q", got)
	}
	h.wantKinds(server.EventRefreshed, server.EventSessionEnded)
	people.now = nil // the server must not ask the directory again
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "revoked")
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "revoked")
}

// While the directory fails, the session goes on, and the server accepts the same token
// when the directory works again.
func TestADirectoryThatFailsEndsNoSession(t *testing.T) {
	for name, now := range map[string]func(context.Context, server.Identity) (server.Identity, error){
		"it is down": func(context.Context, server.Identity) (server.Identity, error) {
			return server.Identity{}, errors.New("connection refused")
		},
		"it hangs": func(ctx context.Context, _ server.Identity) (server.Identity, error) {
			<-ctx.Done()
			return server.Identity{}, ctx.Err()
		},
		"it does not know the password": func(context.Context, server.Identity) (server.Identity, error) {
			return server.Identity{}, server.ErrInvalidCredentials
		},
		"it returns nobody": func(context.Context, server.Identity) (server.Identity, error) {
			return server.Identity{}, nil
		},
		"it returns somebody else": func(context.Context, server.Identity) (server.Identity, error) {
			return server.Identity{Subject: "u-2", Username: "bob"}, nil
		},
		"it returns what is no text": func(context.Context, server.Identity) (server.Identity, error) {
			return server.Identity{Subject: "u-1", Scope: "\xff"}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, people := newChangingPeople(t, func(c *server.Config) { c.Now = time.Now })
				a := h.signedIn()
				well := people.now
				people.now = now
				began := time.Now()
				for range 3 {
					h.refresh(a.RefreshToken).want(t, 503, "temporarily_unavailable", "")
				}
				if took := time.Since(began); took > 3*5*time.Second {
					t.Errorf("three refreshes took %v", took)
				}
				people.now = well
				h.refresh(a.RefreshToken).want(t, 200, "", "")
			})
		})
	}
}

// The server does not ask the directory about a token that it refuses anyway.
func TestARefusedRefreshDoesNotAskTheDirectory(t *testing.T) {
	h, people := newChangingPeople(t, func(*server.Config) {})
	a := h.signedIn()
	b := h.refresh(a.RefreshToken)
	h.refresh(b.RefreshToken).want(t, 200, "", "")
	people.now = nil
	h.refresh(a.RefreshToken).want(t, 409, "stale_refresh_token", "")
	h.signOut(b.RefreshToken).want(t, 204, "", "")
	h.refresh(b.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}
