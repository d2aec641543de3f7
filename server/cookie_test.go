package server_test

import (
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

func TestCookieMode(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signIn("alice", "wonderland")
	a.want(t, 200, "", "")
	b.wantCookies(t, 1)
	for range 5 {
		h.advance(time.Hour)
		next := b.refresh(a.SessionID)
		next.want(t, 200, "", "")
		if next.RefreshToken != "" || strings.Contains(next.text, "refreshToken") {
			t.Fatalf("script can read the refresh token: %s", next.text)
		}
		if next.SessionID != a.SessionID || next.RefreshExpiresIn != 7*24*3600 {
			t.Errorf("got %s", next.text)
		}
		h.call("GET", "/auth/me", next.AccessToken).want(t, 200, "", "")
		b.wantCookies(t, 2) // the current token, for the case that its reply gets lost, and the next
	}
	h.kinds()

	b.signOut(a.SessionID).want(t, 204, "", "")
	h.wantKinds(server.EventSessionEnded)
	b.wantCookies(t, 0)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "")
	b.refresh("").want(t, 401, "cookie_missing", "")
}

// A page that has been reloaded knows no session. It goes on with the one that the browser
// has.
func TestAReloadedPageFindsItsSession(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	for _, body := range []string{`{"sessionId":""}`, `{"sessionId":null}`, `{}`, ""} {
		next := b.post("/auth/refresh-token", body)
		next.want(t, 200, "", "")
		if next.SessionID != a.SessionID {
			t.Errorf("%q: session %s, want %s", body, next.SessionID, a.SessionID)
		}
	}
	b.post("/auth/logout", "").want(t, 204, "", "")
	b.wantCookies(t, 0)
	h.refreshIsRefused(b, a.SessionID, "signed_out")
}

// refreshIsRefused checks that a session has ended for a browser.
func (h *harness) refreshIsRefused(b *browser, session, reason string) {
	h.t.Helper()
	b.refresh(session).want(h.t, 400, "invalid_grant", reason)
}

// The attributes depend on the issuer and on the page, not on how a proxy has forwarded
// the request.
func TestAttributesOfCookies(t *testing.T) {
	const lan, local = "http://192.168.1.5:5173", "http://localhost:5173"
	sameSite := func(mode http.SameSite) func(*server.Config) {
		return func(c *server.Config) { c.CookieSameSite = mode }
	}
	issuedAt := func(address string) func(*server.Config) { return func(c *server.Config) { c.Issuer = address } }
	both := func(changes ...func(*server.Config)) func(*server.Config) {
		return func(c *server.Config) {
			for _, change := range changes {
				change(c)
			}
		}
	}
	for _, c := range []struct {
		name   string
		change func(*server.Config)
		origin string
		prefix string
		want   string
	}{
		{"https", func(*server.Config) {}, issuer, "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=Strict"},
		{"https, no Origin", func(*server.Config) {}, "", "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=Strict"},
		{"lax", sameSite(http.SameSiteLaxMode), issuer, "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=Lax"},
		{"cross-site", sameSite(http.SameSiteNoneMode), issuer, "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=None; Partitioned"},
		{"localhost", issuedAt("http://localhost:8080"), local, "tandem-1-", "HttpOnly; SameSite=Strict"},
		{"localhost, cross-site", both(issuedAt("http://localhost:8080"), sameSite(http.SameSiteNoneMode)), local, "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=None; Partitioned"},
		{"a phone in the same network as the dev server", issuedAt("http://localhost:8080"), lan, "tandem-1-", "HttpOnly; SameSite=Strict"},
		{"plain http", issuedAt("http://10.1.2.3:8080"), "http://10.1.2.3:8080", "tandem-1-", "HttpOnly; SameSite=Strict"},
		{"TLS that the issuer does not know of", issuedAt("http://localhost:8080"), "https://app.example.com", "__Secure-tandem-1-", "HttpOnly; Secure; SameSite=Strict"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, c.change)
			b := h.browser()
			b.header = http.Header{"Origin": {c.origin}}
			r := b.send("/auth/login", object("username", "alice", "password", "wonderland"))
			r.want(t, 200, "", "")
			if len(r.cookies) != 1 || !strings.HasPrefix(r.cookies[0].Name, c.prefix) {
				t.Fatalf("cookies %v, want one whose name begins with %s", r.cookies, c.prefix)
			}
			got := r.cookies[0].Raw
			if _, attributes, _ := strings.Cut(got, "; "); attributes != "Max-Age=1209620; "+c.want {
				t.Errorf("got %s, want two lifetimes and two leeways, and %s", attributes, c.want)
			}
			if token := h.tokenOf(r.cookies[0]); token.Session.String() != r.SessionID || token.Generation != 1 {
				t.Errorf("the token is %+v", token)
			}
		})
	}
}

// A cookie does not outlive its session.
func TestTheLifetimeOfACookieEndsWithTheSession(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.SessionTTL = time.Hour })
	r := h.browser().send("/auth/login", object("username", "alice", "password", "wonderland"))
	if got := r.cookies[0].MaxAge; got != 3600 {
		t.Errorf("Max-Age %d, want 3600", got)
	}
}

func TestSameSiteNoneNeedsHTTPS(t *testing.T) {
	for issuer, ok := range map[string]bool{
		"https://auth.example.com": true, "http://localhost:8080": true, "http://auth.localhost": true, "http://127.0.0.1:1": true, "http://[::1]:1": true,
		"http://auth.example.com": false, "http://10.1.2.3": false, "http://localhost.example.com": false,
	} {
		h := newHarness(t)
		h.cfg.Issuer, h.cfg.CookieSameSite = issuer, http.SameSiteNoneMode
		s, err := server.New(h.cfg)
		if (err == nil) != ok {
			t.Errorf("%s: %v", issuer, err)
		}
		if err == nil {
			_ = s.Close()
		} else if !strings.HasPrefix(err.Error(), "server: Config.CookieSameSite: ") {
			t.Errorf("%v does not name the field", err)
		}
	}
	h := newHarness(t)
	h.cfg.CookieSameSite = http.SameSiteDefaultMode
	if _, err := server.New(h.cfg); err == nil {
		t.Error("a mode without a name in the attribute is allowed")
	}
}

func TestTheLogWarnsOfCookiesOverPlainHTTP(t *testing.T) {
	for issuer, warns := range map[string]bool{"https://auth.example.com": false, "http://localhost:8080": false, "http://10.1.2.3:8080": true} {
		var log strings.Builder
		newHarness(t, func(c *server.Config) {
			c.Issuer, c.Logger = issuer, slog.New(slog.NewTextHandler(&log, nil))
		})
		if got := strings.Contains(log.String(), "clear text"); got != warns {
			t.Errorf("%s: a warning is %t, want %t: %s", issuer, got, warns, log.String())
		}
	}
}

// With an https issuer the server reads no cookie without the prefix: a page of http could
// have set it.
func TestCookiesOfPlainHTTPAreNotReadOverHTTPS(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.signedIn()
	cookie := b.held()[0]
	planted := strings.TrimPrefix(cookie.Name, "__Secure-") + "=" + cookie.Value
	thief := h.browser()
	thief.header = http.Header{"Cookie": {planted}}
	thief.refresh("").want(t, 401, "cookie_missing", "")
	thief.header = http.Header{"Cookie": {cookie.String()}}
	thief.refresh("").want(t, 200, "", "")
}

// Two apps on one host have a session each, if each has a jar.
func TestTwoJars(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	admin := *b
	admin.header = http.Header{"Tandem-Cookie": {"admin"}}
	a := b.signIn("alice", "wonderland")
	other := admin.signIn("bob", "builder")
	for range 3 {
		for _, c := range []struct {
			app  *browser
			want answer
		}{{b, a}, {&admin, other}} {
			got := c.app.refresh("")
			got.want(t, 200, "", "")
			if got.SessionID != c.want.SessionID {
				t.Errorf("session %s, want %s", got.SessionID, c.want.SessionID)
			}
		}
	}
	admin.signOut("").want(t, 204, "", "")
	b.refresh("").want(t, 200, "", "")
}

func TestNamesOfJars(t *testing.T) {
	h := newHarness(t)
	for name, ok := range map[string]bool{
		"1": true, "admin": true, strings.Repeat("x", 32): true,
		"": false, "a-b": false, "a b": false, "a;b": false, "ä": false, strings.Repeat("x", 33): false,
	} {
		b := h.browser()
		b.header = http.Header{"Tandem-Cookie": {name}}
		if a := b.signIn("alice", "wonderland"); (a.status == 200) != ok || !ok && a.Error != "invalid_request" {
			t.Errorf("%q: %d %s", name, a.status, a.text)
		}
	}
	b := h.browser()
	b.header = http.Header{"Tandem-Cookie": {"1", "2"}}
	b.signIn("alice", "wonderland").want(t, 400, "invalid_request", "")
}

// Without the header, cookies mean nothing: a request that the browser sends by itself,
// for a form or a link, does nothing in the user's name.
func TestCookiesAreIgnoredWithoutTheHeader(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	b.header = http.Header{"Tandem-Cookie": nil}
	b.post("/auth/refresh-token", object("sessionId", a.SessionID)).want(t, 400, "invalid_request", "")
	b.post("/auth/logout", object("sessionId", a.SessionID)).want(t, 400, "invalid_request", "")
	b.post("/auth/logout", "").want(t, 401, "invalid_token", "")
	if got := b.signIn("bob", "builder"); got.RefreshToken == "" || got.header.Get("Set-Cookie") != "" {
		t.Errorf("a sign-in in bearer mode: %s, Set-Cookie %q", got.text, got.header.Get("Set-Cookie"))
	}
	guarded := h.server.RequireSession(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a cookie let a request through") }))
	cookies := http.Header{"Tandem-Cookie": {"1"}, "Cookie": {b.held()[0].String()}}
	h.sendTo(guarded, request{method: "GET", path: "/coffee", header: cookies}).want(t, 401, "invalid_token", "")
	h.send(request{method: "GET", path: "/auth/me", header: cookies}).want(t, 401, "invalid_token", "")

	b.header = nil
	b.refresh(a.SessionID).want(t, 200, "", "")
}

func TestACookieThatIsMissing(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	blocked := h.browser() // a browser that keeps no cookies of the server

	for _, session := range []string{"", a.SessionID, strings.Repeat("0f", 16)} {
		got := blocked.refresh(session)
		got.want(t, 401, "cookie_missing", "")
		if got.header.Get("WWW-Authenticate") == "" {
			t.Error("a 401 without WWW-Authenticate (RFC 9110 section 15.5.2)")
		}
		blocked.signOut(session).want(t, 401, "cookie_missing", "")
	}
	h.wantKinds()
	blocked.refresh("x").want(t, 400, "invalid_request", "")
	b.refresh(a.SessionID).want(t, 200, "", "")

	// The access token says which session it is.
	blocked.header = bearer(a.AccessToken)
	blocked.signOut(strings.Repeat("0f", 16)).want(t, 401, "cookie_missing", "")
	b.refresh(a.SessionID).want(t, 200, "", "")
	blocked.signOut(a.SessionID).want(t, 204, "", "")
	h.refreshIsRefused(b, a.SessionID, "signed_out")
	b.wantCookies(t, 0)

	// Another tab has signed out and deleted the cookie.
	blocked.header = nil
	h.refreshIsRefused(blocked, a.SessionID, "signed_out")
	blocked.signOut(a.SessionID).want(t, 204, "", "")
}

// A client moves its session from a store of its own to cookies.
func TestFromBearerModeToCookies(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	b := h.browser()
	lost := b.send("/auth/refresh-token", object("refreshToken", a.RefreshToken))
	lost.want(t, 200, "", "")
	moved := b.post("/auth/refresh-token", object("refreshToken", a.RefreshToken))
	moved.want(t, 200, "", "")
	if moved.SessionID != a.SessionID || moved.RefreshToken != "" {
		t.Errorf("got %s", moved.text)
	}
	b.refresh(a.SessionID).want(t, 200, "", "")
	b.refresh("").want(t, 200, "", "")
}
