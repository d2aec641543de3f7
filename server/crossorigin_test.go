package server_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/server"
)

// Pages of other origins cannot use the cookies, whatever they send. What is refused
// changes nothing.
func TestPagesOfOtherOriginsCannotUseTheCookies(t *testing.T) {
	allowed := func(origins ...string) func(*server.Config) {
		return func(c *server.Config) { c.AllowedOrigins = origins }
	}
	plain := func(c *server.Config) { c.Issuer = "http://10.1.2.3:8080" }
	for _, c := range []struct {
		name         string
		change       func(*server.Config)
		site, origin string // Sec-Fetch-Site and Origin
		ok           bool
	}{
		{"the server's own page", allowed(), "same-origin", issuer, true},
		{"a page behind a dev server's proxy, which changes Host", allowed(), "same-origin", "http://localhost:5173", true},
		{"a page of the same site", allowed(), "same-site", "https://evil.example.com", false},
		{"a page of another site", allowed(), "cross-site", "https://evil.example", false},
		{"a page without an origin", allowed(), "cross-site", "null", false},
		{"an allowed page of the same site", allowed(app), "same-site", app, true},
		{"an allowed page of another site", allowed("https://app.example"), "cross-site", "https://app.example", true},
		{"an allowed app", allowed("capacitor://localhost"), "cross-site", "capacitor://localhost", true},
		{"another page than the allowed one", allowed(app), "cross-site", "https://evil.example", false},
		{"plain http: the server's own page", plain, "", "http://10.1.2.3:8080", true},
		{"plain http: a page of another port", plain, "", "http://10.1.2.3:9090", false},
		{"plain http: a page of another host", plain, "", "http://evil.example", false},
		{"plain http: a page without an origin", plain, "", "null", false},
		{"a program that is no browser", allowed(), "", "", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, c.change)
			b := h.browser()
			b.address = strings.TrimSuffix(h.cfg.Issuer, "/")
			a := b.signedIn()
			page := *b
			page.header = http.Header{"Sec-Fetch-Site": nil, "Origin": nil}
			if c.site != "" {
				page.header.Set("Sec-Fetch-Site", c.site)
			}
			if c.origin != "" {
				page.header.Set("Origin", c.origin)
			}
			for _, call := range []struct{ path, body string }{
				{"/auth/refresh-token", object("sessionId", a.SessionID)},
				{"/auth/logout", object("sessionId", a.SessionID)},
				{"/auth/login", object("username", "bob", "password", "builder")},
			} {
				r := page.send(call.path, call.body)
				if c.ok {
					if r.status >= 400 {
						t.Errorf("%s: %d %s", call.path, r.status, r.text)
					}
					continue
				}
				r.want(t, 403, "forbidden_origin", "")
				if !strings.Contains(r.Description, "--allow-origin") || len(r.cookies) > 0 {
					t.Errorf("%s: %s, cookies %v", call.path, r.text, r.cookies)
				}
			}
			if !c.ok {
				h.wantKinds()
				b.refresh(a.SessionID).want(t, 200, "", "")
			}
		})
	}
}

// A form can send neither the header nor JSON.
func TestCookieModeTakesJSONAlone(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	for _, contentType := range []string{"", "text/plain", "application/x-www-form-urlencoded"} {
		b.header = http.Header{"Content-Type": {contentType}}
		for _, path := range []string{"/auth/login", "/auth/refresh-token", "/auth/logout"} {
			for _, body := range []string{"", object("sessionId", a.SessionID)} {
				b.post(path, body).want(t, 415, "unsupported_media_type", "")
			}
		}
	}
	h.wantKinds()
	b.header = nil
	b.refresh(a.SessionID).want(t, 200, "", "")
}

// Pages of allowed origins may send cookies in cookie mode, and need no further setting for
// that. Other requests are as without cookie mode.
func TestPreflightsOfCookieMode(t *testing.T) {
	for _, c := range []struct {
		name    string
		origin  string
		headers string // that the page asks for
		limited []string
		want    string // Access-Control-Allow-Credentials
	}{
		{"cookie mode", app, "content-type,tandem-cookie", nil, "true"},
		{"with limited headers", app, "content-type,tandem-cookie", []string{"Content-Type"}, "true"},
		{"bearer mode", app, "authorization,content-type", nil, ""},
		{"a page of another origin", "https://evil.example.com", "content-type,tandem-cookie", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, func(cfg *server.Config) { cfg.AllowedOrigins, cfg.AllowedHeaders = []string{app}, c.limited })
			preflight := h.send(request{method: "OPTIONS", path: "/auth/refresh-token", header: http.Header{
				"Origin": {c.origin}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {c.headers},
			}})
			origin, headers := c.origin, c.headers
			if c.origin != app {
				origin, headers = "", ""
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Credentials": c.want, "Access-Control-Allow-Origin": origin, "Access-Control-Allow-Headers": headers,
			} {
				if got := preflight.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if !slices.Contains(preflight.header.Values("Vary"), "Origin") && !strings.Contains(preflight.header.Get("Vary"), "Origin") {
				t.Errorf("Vary: %v", preflight.header.Values("Vary"))
			}
		})
	}
}

func TestCookieModeFromAnotherOrigin(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.AllowedOrigins = []string{app} })
	b := h.browser()
	b.header = http.Header{"Origin": {app}, "Sec-Fetch-Site": {"same-site"}}
	a := b.signIn("alice", "wonderland")
	next := b.refresh(a.SessionID)
	for _, got := range []answer{a, next} {
		got.want(t, 200, "", "")
		if got.header.Get("Access-Control-Allow-Credentials") != "true" || got.header.Get("Access-Control-Allow-Origin") != app {
			t.Errorf("the page cannot read the answer: %v", got.header)
		}
	}
}
