package server_test

import (
	"net/http"
	"testing"

	"github.com/tandem-auth/tandem/server"
)

const app = "https://app.example.com"

func TestCORS(t *testing.T) {
	configured := func(c *server.Config) { c.AllowedOrigins = []string{app, "http://localhost:5173"} }
	for _, c := range []struct {
		name    string
		change  func(*server.Config)
		origin  string
		allowed bool
	}{
		{"an allowed origin", configured, app, true},
		{"another allowed origin", configured, "http://localhost:5173", true},
		{"another origin", configured, "https://evil.example.com", false},
		{"another port", configured, app + ":8443", false},
		{"a page without an origin", configured, "null", false},
		{"none configured", func(*server.Config) {}, app, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, c.change)
			want := ""
			if c.allowed {
				want = c.origin
			}
			preflight := h.send(request{method: "OPTIONS", path: "/auth/sessions/x", header: http.Header{
				"Origin": {c.origin}, "Access-Control-Request-Method": {"DELETE"}, "Access-Control-Request-Headers": {"authorization,content-type"},
			}})
			if got := preflight.header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("preflight: allowed origin %q, want %q", got, want)
			}
			call := h.send(request{method: "GET", path: "/auth/me", header: http.Header{"Origin": {c.origin}}})
			call.want(t, 401, "invalid_token", "")
			if got := call.header.Get("Access-Control-Allow-Origin"); got != want {
				t.Errorf("call: allowed origin %q, want %q", got, want)
			}
			if !c.allowed {
				return
			}
			for name, want := range map[string]string{
				"Access-Control-Allow-Methods": "DELETE", "Access-Control-Allow-Headers": "authorization,content-type", "Access-Control-Max-Age": "3600",
			} {
				if got := preflight.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
			if got := call.header.Get("Access-Control-Expose-Headers"); got != "Www-Authenticate, Retry-After" && got != "WWW-Authenticate, Retry-After" {
				t.Errorf("exposed: %q", got)
			}
			for _, a := range []answer{preflight, call} {
				if got := a.header.Get("Access-Control-Allow-Credentials"); got != "" {
					t.Errorf("credentials: %q", got)
				}
			}
		})
	}
}
