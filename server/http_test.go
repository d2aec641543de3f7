package server_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

func TestRequestsThatCannotBeServed(t *testing.T) {
	h := newHarness(t)
	typed := func(contentType string) http.Header { return http.Header{"Content-Type": {contentType}} }
	good := object("refreshToken", "x")
	for _, c := range []struct {
		name   string
		req    request
		status int
		code   string
	}{
		{"no body", request{body: ""}, 400, "invalid_request"},
		{"broken JSON", request{body: `{"refreshToken":`}, 400, "invalid_request"},
		{"trailing garbage", request{body: good + "x"}, 400, "invalid_request"},
		{"two objects", request{body: good + good}, 400, "invalid_request"},
		{"an array", request{body: `["refreshToken"]`}, 400, "invalid_request"},
		{"null", request{body: `null`}, 400, "invalid_request"},
		{"not UTF-8", request{body: "{\"refreshToken\":\"\xff\"}"}, 400, "invalid_request"},
		{"a field missing", request{body: `{}`}, 400, "invalid_request"},
		{"a field null", request{body: `{"refreshToken":null}`}, 400, "invalid_request"},
		{"a field empty", request{body: `{"refreshToken":""}`}, 400, "invalid_request"},
		{"a field of another type", request{body: `{"refreshToken":{"a":1}}`}, 400, "invalid_request"},
		{"a form", request{body: "refreshToken=x", header: typed("application/x-www-form-urlencoded")}, 415, "unsupported_media_type"},
		{"JSON as text", request{body: good, header: typed("text/plain")}, 415, "unsupported_media_type"},
		{"no content type", request{body: good, header: typed("")}, 415, "unsupported_media_type"},
		{"with a charset", request{body: good, header: typed("Application/JSON; charset=utf-8")}, 400, "invalid_grant"},
		{"64 KiB", request{body: good + strings.Repeat(" ", 64<<10-len(good))}, 400, "invalid_grant"},
		{"one byte more", request{body: good + strings.Repeat(" ", 64<<10-len(good)+1)}, 413, "request_too_large"},
		{"another method", request{method: "GET"}, 405, "method_not_allowed"},
		{"nothing there", request{path: "/auth/nothing"}, 404, "not_found"},
		{"the root", request{path: "/", method: "GET"}, 404, "not_found"},
		{"a slash too many", request{path: "/auth/sessions/", method: "GET"}, 404, "not_found"},
		// No redirect: the client would send the token twice.
		{"two slashes", request{path: "//auth/refresh-token", body: good}, 404, "not_found"},
		{"two slashes inside", request{path: "/auth//refresh-token", body: good}, 404, "not_found"},
		{"a detour", request{path: "/auth/../auth/refresh-token", body: good}, 404, "not_found"},
		{"a detour, encoded", request{path: "/auth/%2e%2e/auth/refresh-token", body: good}, 404, "not_found"},
		{"a dot", request{path: "/auth/./refresh-token", body: good}, 404, "not_found"},
		{"a slash at the end", request{path: "/auth/refresh-token/", body: good}, 404, "not_found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.req.method == "" {
				c.req.method = "POST"
			}
			if c.req.path == "" {
				c.req.path = "/auth/refresh-token"
			}
			a := h.send(c.req)
			if a.status != c.status || a.Error != c.code {
				t.Errorf("got %d %s, want %d %s\n%s", a.status, a.Error, c.status, c.code, a.text)
			}
			if c.status == 400 && c.code == "invalid_request" && strings.HasPrefix(c.name, "a field") && !strings.Contains(a.Description, "refreshToken") {
				t.Errorf("%q does not name the field", a.Description)
			}
			if a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("header %v", a.header)
			}
		})
	}
}

func TestMethods(t *testing.T) {
	h := newHarness(t)
	for path, allow := range map[string]string{
		"/auth/login":            "POST, OPTIONS",
		"/auth/refresh-token":    "POST, OPTIONS",
		"/auth/logout":           "POST, OPTIONS",
		"/auth/me":               "GET, HEAD, OPTIONS",
		"/auth/ticket":           "POST, OPTIONS",
		"/auth/sessions":         "DELETE, GET, HEAD, OPTIONS",
		"/auth/sessions/x":       "DELETE, OPTIONS",
		"/.well-known/jwks.json": "GET, HEAD, OPTIONS",
		"/healthz":               "GET, HEAD, OPTIONS",
		"/readyz":                "GET, HEAD, OPTIONS",
	} {
		t.Run(path, func(t *testing.T) {
			put := h.send(request{method: "PUT", path: path})
			put.want(t, 405, "method_not_allowed", "")
			options := h.send(request{method: "OPTIONS", path: path})
			options.want(t, 204, "", "")
			if put.header.Get("Allow") != allow || options.header.Get("Allow") != allow {
				t.Errorf("Allow %q and %q, want %q", put.header.Get("Allow"), options.header.Get("Allow"), allow)
			}
		})
	}
}

func TestHeadIsGetWithoutABody(t *testing.T) {
	h := newHarness(t)
	addr := serve(t, h.server)
	for path, status := range map[string]int{"/healthz": 200, "/readyz": 200, "/.well-known/jwks.json": 200, "/auth/me": 401} {
		res, err := http.Head(addr + path)
		if err != nil {
			t.Fatal(err)
		}
		if err := res.Body.Close(); err != nil {
			t.Error(err)
		}
		if res.StatusCode != status || res.ContentLength <= 0 {
			t.Errorf("%s: %d, Content-Length %d", path, res.StatusCode, res.ContentLength)
		}
	}
}

func TestWithoutAToken(t *testing.T) {
	h := newHarness(t)
	for _, c := range []struct{ method, path, authorization string }{
		{"GET", "/auth/me", ""},
		{"GET", "/auth/sessions", ""},
		{"DELETE", "/auth/sessions", ""},
		{"DELETE", "/auth/sessions/" + strings.Repeat("0", 32), ""},
		{"POST", "/auth/logout", ""},
		{"POST", "/auth/ticket", ""},
		{"GET", "/auth/me", "Basic YTpi"},
	} {
		t.Run(c.method+c.path+c.authorization, func(t *testing.T) {
			req := request{method: c.method, path: c.path}
			if c.authorization != "" {
				req.header = http.Header{"Authorization": {c.authorization}}
			}
			a := h.send(req)
			a.want(t, 401, "invalid_token", "")
			if got, want := a.header.Get("WWW-Authenticate"), `Bearer realm="https://auth.example.com"`; got != want {
				t.Errorf("WWW-Authenticate %s, want the bare %s", got, want)
			}
		})
	}
}

func TestTheBearerSchemeIgnoresCase(t *testing.T) {
	h := newHarness(t)
	token := h.signedIn().AccessToken
	for _, scheme := range []string{"bearer", "BEARER", "Bearer "} {
		h.send(request{method: "GET", path: "/auth/me", header: http.Header{"Authorization": {scheme + " " + token}}}).want(t, 200, "", "")
	}
}

func TestKeySetMayBeCached(t *testing.T) {
	h := newHarness(t)
	a := h.send(request{method: "GET", path: "/.well-known/jwks.json"})
	if got := a.header.Get("Cache-Control"); got != "public, max-age=300" {
		t.Errorf("Cache-Control %q", got)
	}
	again := h.send(request{
		method: "GET", path: "/.well-known/jwks.json",
		header: http.Header{"If-None-Match": {a.header.Get("Etag")}},
	})
	if again.status != http.StatusNotModified {
		t.Errorf("got %d, want 304", again.status)
	}
	if strings.Contains(a.text, `"d":`) {
		t.Error("a private key is published")
	}
}

func TestReadiness(t *testing.T) {
	h := newHarness(t)
	get := func(path string) answer { return h.send(request{method: "GET", path: path}) }
	get("/readyz").want(t, 200, "", "")
	h.server.Drain()
	get("/readyz").want(t, 503, "temporarily_unavailable", "")
	get("/healthz").want(t, 200, "", "")
	h.signedIn()
}

// downStore is a store whose database has gone away.
type downStore struct{ server.Store }

var errDown = errors.New("dial tcp 10.1.2.3:5432: connection refused")

func (downStore) Create(context.Context, store.Session) error { return errDown }
func (downStore) Get(context.Context, rotation.SessionID) (store.Session, error) {
	return store.Session{}, errDown
}

func (downStore) Confirm(context.Context, rotation.SessionID, rotation.Position, time.Time) (store.Confirmation, error) {
	return store.Confirmation{}, errDown
}
func (downStore) Ping(context.Context) error { return errDown }

func TestAStoreThatIsDown(t *testing.T) {
	var log strings.Builder
	h := newHarness(t)
	a := h.signedIn()
	h.cfg.Store = downStore{h.cfg.Store}
	h.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h.server = h.start(h.cfg)
	for name, send := range map[string]func() answer{
		"sign in":  func() answer { return h.signIn("alice", "wonderland") },
		"refresh":  func() answer { return h.refresh(a.RefreshToken) },
		"sign out": func() answer { return h.signOut(a.RefreshToken) },
		"me":       func() answer { return h.call("GET", "/auth/me", a.AccessToken) },
		"readyz":   func() answer { return h.send(request{method: "GET", path: "/readyz"}) },
	} {
		t.Run(name, func(t *testing.T) {
			log.Reset()
			a := send()
			a.want(t, 503, "temporarily_unavailable", "")
			if a.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
			}
			if strings.Contains(a.text, "10.1.2.3") {
				t.Errorf("internals leak: %s", a.text)
			}
			if !strings.Contains(log.String(), "10.1.2.3") {
				t.Errorf("nothing for the operator: %s", log.String())
			}
		})
	}
	h.wantKinds()
}

func TestAClientThatHangsUpIsNoError(t *testing.T) {
	var log strings.Builder
	h := newHarness(t, func(c *server.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	a := h.signedIn()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	h.sendWith(ctx, request{method: "POST", path: "/auth/refresh-token", body: object("refreshToken", a.RefreshToken)})
	if log.Len() > 0 {
		t.Errorf("logged: %s", log.String())
	}
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}

// A refusingStore never confirms a token.
type refusingStore struct{ server.Store }

func (s refusingStore) Confirm(ctx context.Context, id rotation.SessionID, _ rotation.Position, _ time.Time) (store.Confirmation, error) {
	session, err := s.Get(ctx, id)
	return store.Confirmation{Session: session}, err
}

// With a store that breaks its contract, the server ends no session and issues no token.
func TestAStoreThatBreaksItsContract(t *testing.T) {
	var log strings.Builder
	h := newHarness(t, func(c *server.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	a := h.signedIn()
	good := h.cfg.Store
	h.cfg.Store = refusingStore{good}
	h.server = h.start(h.cfg)
	h.refresh(a.RefreshToken).want(t, 503, "temporarily_unavailable", "")
	h.wantKinds()
	if !strings.Contains(log.String(), "does not keep to its contract") {
		t.Errorf("nothing for the operator: %s", log.String())
	}
	h.cfg.Store = good
	h.server = h.start(h.cfg)
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}
