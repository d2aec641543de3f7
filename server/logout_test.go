package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

func TestSignOutWithTheRefreshToken(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	out := h.signOut(a.RefreshToken)
	out.want(t, 204, "", "")
	if out.text != "" || out.header.Get("Cache-Control") != "no-store" {
		t.Errorf("got %v %q", out.header, out.text)
	}
	h.wantKinds(server.EventSessionEnded)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "signed_out")
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}

func TestSignOutWithTheAccessToken(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.call("POST", "/auth/logout", a.AccessToken).want(t, 204, "", "")
	h.call("POST", "/auth/logout", a.AccessToken).want(t, 204, "", "")
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}

// Some front ends send an empty object in place of an empty body.
func TestSignOutWithTheAccessTokenAndABodyThatSaysNothing(t *testing.T) {
	for _, body := range []string{`{}`, `{"refreshToken":null}`, `{"refreshToken":""}`} {
		h := newHarness(t)
		a := h.signedIn()
		h.send(request{method: "POST", path: "/auth/logout", body: body}).want(t, 400, "invalid_request", "")
		h.send(request{method: "POST", path: "/auth/logout", body: body, header: bearer(a.AccessToken)}).want(t, 204, "", "")
		h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
	}
}

func TestSignOutWithBothEndsTheSessionOfTheBody(t *testing.T) {
	h := newHarness(t)
	a, b := h.signedIn(), h.signedIn()
	h.send(request{
		method: "POST", path: "/auth/logout",
		body: object("refreshToken", a.RefreshToken), header: bearer(b.AccessToken),
	}).want(t, 204, "", "")
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "signed_out")
	h.call("GET", "/auth/me", b.AccessToken).want(t, 200, "", "")
}

func TestSignOutWithAnyTokenThatWasEverOurs(t *testing.T) {
	for _, c := range []struct {
		name   string
		after  func(h *harness, token string)
		ended  bool
		reason string
	}{
		{"stale", func(h *harness, token string) { h.refresh(h.refresh(token).RefreshToken) }, true, "signed_out"},
		{"expired", func(h *harness, _ string) { h.advance(8 * 24 * time.Hour) }, true, "signed_out"},
		{"signed out already", func(h *harness, token string) { h.signOut(token); h.kinds() }, false, "signed_out"},
		{"ended for reuse", func(h *harness, token string) {
			h.refresh(h.refresh(token).RefreshToken)
			h.advance(time.Minute)
			h.refresh(token)
		}, false, "reuse_detected"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			token := h.signedIn().RefreshToken
			c.after(h, token)
			h.kinds()
			h.signOut(token).want(t, 204, "", "")
			if ended := len(h.kinds()) == 1; ended != c.ended {
				t.Errorf("an event: %t, want %t", ended, c.ended)
			}
			h.refresh(token).want(t, 400, "invalid_grant", c.reason)
		})
	}
}

func TestSignOutOfASessionThatIsNotThere(t *testing.T) {
	h := newHarness(t)
	stranger := newHarness(t, func(c *server.Config) { c.RefreshKeys = h.cfg.RefreshKeys })
	h.signOut(stranger.signedIn().RefreshToken).want(t, 204, "", "")
	h.wantKinds()
}

func TestSignOutSaysWhenNothingWasSignedOut(t *testing.T) {
	h := newHarness(t)
	for _, token := range []string{"undefined", newHarness(t).signedIn().RefreshToken} {
		a := h.signOut(token)
		a.want(t, 400, "invalid_request", "")
		if !strings.Contains(a.Description, "nothing was signed out") {
			t.Errorf("got %q", a.Description)
		}
	}
	h.send(request{method: "POST", path: "/auth/logout"}).want(t, 401, "invalid_token", "")
	h.send(request{method: "POST", path: "/auth/logout", body: "{}"}).want(t, 400, "invalid_request", "")
	h.send(request{
		method: "POST", path: "/auth/logout", header: http.Header{"Content-Type": {"application/json"}},
	}).want(t, 401, "invalid_token", "")
}

func TestSignOutSurvivesARestart(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.signOut(a.RefreshToken).want(t, 204, "", "")

	h.cfg.Store = openStore(t, h.path)
	h.server = h.start(h.cfg)
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}

func TestSignOutIsCarriedOutThoughItsClientIsGone(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.sendWith(ctx, request{method: "POST", path: "/auth/logout", body: object("refreshToken", a.RefreshToken)})
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "signed_out")
}
