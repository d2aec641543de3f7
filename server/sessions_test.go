package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

func TestMe(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	me := h.call("GET", "/auth/me", a.AccessToken)
	me.want(t, 200, "", "")
	if me.Subject != "u-1" || me.Username != "alice" || me.Scope != "read write" || me.SessionID != a.SessionID || me.ClientID != "tandem" {
		t.Errorf("got %s", me.text)
	}
	if left := me.ExpiresAt.Sub(h.now()); left < 2*time.Hour || left >= 2*time.Hour+time.Second {
		t.Errorf("expires in %v", left)
	}
}

func TestSessions(t *testing.T) {
	h := newHarness(t)
	signedInAt := h.now()
	old := h.signedIn()
	h.signIn("bob", "builder").want(t, 200, "", "")
	h.advance(time.Minute)
	a := h.signedIn()
	gone := h.signedIn()
	h.signOut(gone.RefreshToken)
	h.advance(time.Minute)
	refreshedAt := h.now()
	h.refresh(old.RefreshToken)

	list := h.call("GET", "/auth/sessions", a.AccessToken)
	list.want(t, 200, "", "")
	if len(list.Sessions) != 2 {
		t.Fatalf("got %s, want alice's two live sessions", list.text)
	}
	newest, oldest := list.Sessions[0], list.Sessions[1]
	if newest.ID != a.SessionID || !newest.Current || oldest.ID != old.SessionID || oldest.Current {
		t.Errorf("got %s", list.text)
	}
	if !oldest.CreatedAt.Equal(signedInAt) || !oldest.LastRefreshAt.Equal(refreshedAt) {
		t.Errorf("created %v, refreshed %v; want %v, %v", oldest.CreatedAt, oldest.LastRefreshAt, signedInAt, refreshedAt)
	}
	if left := oldest.ExpiresAt.Sub(signedInAt); left < 90*24*time.Hour || left >= 90*24*time.Hour+time.Second {
		t.Errorf("lasts for %v", left)
	}
	if oldest.IP != "192.0.2.1" {
		t.Errorf("IP %q", oldest.IP)
	}
}

func TestSessionsThatExpiredAreNotListed(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.SessionTTL = time.Hour })
	h.signedIn()
	h.advance(2 * time.Hour)
	a := h.signedIn()
	if list := h.call("GET", "/auth/sessions", a.AccessToken); len(list.Sessions) != 1 {
		t.Errorf("got %s", list.text)
	}
}

func TestRevokeASession(t *testing.T) {
	h := newHarness(t)
	a, other := h.signedIn(), h.signedIn()
	h.call("DELETE", "/auth/sessions/"+other.SessionID, a.AccessToken).want(t, 204, "", "")
	h.wantKinds(server.EventSessionEnded)
	h.call("GET", "/auth/me", other.AccessToken).want(t, 401, "invalid_token", "revoked")
	h.call("DELETE", "/auth/sessions/"+other.SessionID, a.AccessToken).want(t, 404, "not_found", "")

	h.call("DELETE", "/auth/sessions/"+a.SessionID, a.AccessToken).want(t, 204, "", "")
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}

func TestSessionsOfOthersDoNotSeemToExist(t *testing.T) {
	h := newHarness(t)
	a, bob := h.signedIn(), h.signIn("bob", "builder")
	his := h.call("DELETE", "/auth/sessions/"+bob.SessionID, a.AccessToken)
	his.want(t, 404, "not_found", "")
	for _, id := range []string{strings.Repeat("0", 32), "x", "%2e%2ex"} {
		if nobodys := h.call("DELETE", "/auth/sessions/"+id, a.AccessToken); nobodys.status != 404 || nobodys.text != his.text {
			t.Errorf("%s: %d %s, want %s", id, nobodys.status, nobodys.text, his.text)
		}
	}
	h.call("GET", "/auth/me", bob.AccessToken).want(t, 200, "", "")
}

func TestSignOutEverywhere(t *testing.T) {
	h := newHarness(t)
	a, other, bob := h.signedIn(), h.signedIn(), h.signIn("bob", "builder")
	h.kinds()
	h.call("DELETE", "/auth/sessions", a.AccessToken).want(t, 204, "", "")
	h.wantKinds(server.EventSessionEnded)
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
	h.refresh(other.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
	h.refresh(bob.RefreshToken).want(t, 200, "", "")
}
