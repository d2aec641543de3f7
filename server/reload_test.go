package server_test

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/server"
)

// An operator allows one more origin, trusts one more proxy and lowers the number of
// sessions. The server takes that over without a restart; a mistake changes nothing.
func TestSettingsAreReplacedWhileTheServerRuns(t *testing.T) {
	const other, proxy, client = "https://other.example.com", "10.0.0.1:1234", "192.0.2.7"
	h := newHarness(t, func(c *server.Config) { c.AllowedOrigins = []string{app} })
	allows := func(origin string) bool {
		t.Helper()
		a := h.send(request{method: "GET", path: "/healthz", header: http.Header{"Origin": {origin}}})
		return a.header.Get("Access-Control-Allow-Origin") == origin
	}
	signIn := func() answer {
		t.Helper()
		a := h.send(request{
			method: "POST", path: "/auth/login", body: object("username", "alice", "password", "wonderland"),
			remote: proxy, header: http.Header{"X-Forwarded-For": {client}},
		})
		a.want(t, 200, "", "")
		return a
	}
	first := signIn()
	if !allows(app) || allows(other) {
		t.Fatal("before: want the first origin alone")
	}

	next := h.cfg
	next.AllowedOrigins, next.MaxSessions = []string{other}, 1
	next.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	next.Issuer = "https://elsewhere.example.com" // not one of those that Reload replaces
	if err := h.server.Reload(next); err != nil {
		t.Fatal(err)
	}
	if allows(app) || !allows(other) {
		t.Error("after: want the other origin alone")
	}
	h.advance(1e9)
	second := signIn()
	if listed := h.call("GET", "/auth/sessions", second.AccessToken); len(listed.Sessions) != 1 || listed.Sessions[0].IP != client {
		t.Errorf("sessions %+v, want one from %s", listed.Sessions, client)
	}
	h.refresh(first.RefreshToken).want(t, 400, "invalid_grant", "revoked")

	next.AllowedOrigins = []string{"no origin"}
	if err := h.server.Reload(next); err == nil || !strings.Contains(err.Error(), "server: Config.AllowedOrigins: ") {
		t.Errorf("a bad origin: %v", err)
	}
	if !allows(other) {
		t.Error("a reload that failed has changed something")
	}
}
