package server_test

import (
	"net/http"
	"strings"
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
			if got := call.header.Get("Access-Control-Expose-Headers"); !strings.EqualFold(got, "WWW-Authenticate, Retry-After, X-Request-Id") {
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

// An origin is allowed however its operator writes it.
func TestOriginsAsPeopleWriteThem(t *testing.T) {
	for written, sent := range map[string]string{
		"capacitor://localhost": "capacitor://localhost",
		"tauri://localhost":     "tauri://localhost",
		"chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh": "chrome-extension://aaaabbbbccccddddeeeeffffgggghhhh",
		"https://app.example.com:443":                         "https://app.example.com",
		"http://app.example.com:80":                           "http://app.example.com",
		"https://app.example.com:80":                          "https://app.example.com:80",
		"HTTPS://App.Example.Com":                             "https://app.example.com",
		"https://b\u00fccher.example":                         "https://xn--bcher-kva.example",
		"https://\u5c0f\u660e.example:8443":                   "https://xn--yeto6u.example:8443",
		"http://[::1]:5173":                                   "http://[::1]:5173",
		"http://[2001:DB8:0::1]":                              "http://[2001:db8::1]",
		"http://my_host:3000":                                 "http://my_host:3000",
	} {
		t.Run(written, func(t *testing.T) {
			h := newHarness(t, func(c *server.Config) { c.AllowedOrigins = []string{written} })
			got := h.send(request{method: "GET", path: "/auth/me", header: http.Header{"Origin": {sent}}}).header.Get("Access-Control-Allow-Origin")
			if got != sent {
				t.Errorf("allowed is %q, want %q", got, sent)
			}
		})
	}
}

// A browser sends a request with headers that front ends and their libraries add, unless
// the operator has limited the headers.
func TestPreflightsForTheHeadersOfFrontEnds(t *testing.T) {
	const headers = "authorization,baggage,content-type,sentry-trace,traceparent,tracestate,x-request-id,x-requested-with,x-tenant-id"
	for _, c := range []struct {
		name        string
		change      func(*server.Config)
		want        string
		credentials string
	}{
		{"by default", func(*server.Config) {}, headers, ""},
		{"some", func(c *server.Config) { c.AllowedHeaders = []string{"Authorization", "Content-Type"} }, "", ""},
		{"with cookies", func(c *server.Config) { c.AllowCredentials = true }, headers, "true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, func(cfg *server.Config) { cfg.AllowedOrigins = []string{app}; c.change(cfg) })
			preflight := h.send(request{method: "OPTIONS", path: "/auth/login", header: http.Header{
				"Origin": {app}, "Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {headers},
			}})
			for name, want := range map[string]string{"Access-Control-Allow-Headers": c.want, "Access-Control-Allow-Credentials": c.credentials} {
				if got := preflight.header.Get(name); got != want {
					t.Errorf("%s: %q, want %q", name, got, want)
				}
			}
		})
	}
}
