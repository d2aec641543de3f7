package server_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// An observer notes what has ended, in order.
type observer struct {
	mu    sync.Mutex
	ended []string
	ids   []string
	open  int
}

func (o *observer) observe(ctx context.Context, w server.Work) (context.Context, func(server.Result)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.open++
	o.ids = append(o.ids, server.RequestID(ctx))
	return ctx, func(r server.Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.open--
		text := strings.TrimSpace(fmt.Sprintf("%s %s", w.Kind, w.Name))
		if w.Kind == server.WorkRequest {
			text = strings.TrimSpace(fmt.Sprintf("%s %d %s", w.Name, r.Status, r.Outcome))
		}
		o.ended = append(o.ended, text)
	}
}

// requests returns what became of the requests since it was last asked.
func (o *observer) requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	found := slices.DeleteFunc(o.ended, func(line string) bool { return !strings.HasPrefix(line, "/") })
	o.ended = nil
	return found
}

// Every sign-in and every refresh has an outcome that an operator can count.
func TestTheOutcomeOfARequest(t *testing.T) {
	o := &observer{}
	h := newHarness(t, func(c *server.Config) {
		c.Observe = o.observe
		c.SignIn.PerUserAndAddress = server.Limit{Burst: 1, Every: 10e9}
	})
	want := func(lines ...string) {
		t.Helper()
		if got := o.requests(); !slices.Equal(got, lines) {
			t.Errorf("got %q, want %q", got, lines)
		}
	}
	first := h.signedIn()
	want("/auth/login 200 signed_in")
	h.send(request{method: "POST", path: "/auth/login", body: `{"username":"alice"}`})
	want("/auth/login 400 invalid")
	h.signIn("bob", "wrong")
	want("/auth/login 401 failed")
	h.signIn("bob", "wrong")
	want("/auth/login 429 limited")

	second := h.refresh(first.RefreshToken)
	want("/auth/refresh-token 200 refreshed")
	h.refresh(first.RefreshToken)
	want("/auth/refresh-token 200 retried")
	h.refresh(second.RefreshToken)
	h.refresh(first.RefreshToken)
	want("/auth/refresh-token 200 refreshed", "/auth/refresh-token 409 stale")
	h.advance(h.cfg.Leeway + server.DefaultLeeway + 1e9)
	h.refresh(first.RefreshToken)
	want("/auth/refresh-token 400 reuse_detected")
	h.refresh(second.RefreshToken)
	h.refresh("rubbish")
	h.send(request{method: "POST", path: "/auth/refresh-token", body: `{"refreshToken"`})
	want("/auth/refresh-token 400 refused", "/auth/refresh-token 400 refused", "/auth/refresh-token 400 invalid")
	h.call("GET", "/auth/me", first.AccessToken)
	h.call("DELETE", "/auth/sessions/x", first.AccessToken)
	want("/auth/me 401", "/auth/sessions/{id} 401")
}

// OAuth clients get other statuses, which mean the same to the operator: a stale token is no
// failure of the server.
func TestTheOutcomeOfAnOAuthRequest(t *testing.T) {
	o := &observer{}
	h := newHarness(t, someClients, func(c *server.Config) { c.Observe = o.observe })
	first := h.signedIn()
	second := h.refresh(first.RefreshToken)
	h.refresh(second.RefreshToken)
	o.requests()
	for _, c := range []struct{ token, want string }{
		{first.RefreshToken, "/oauth/token 503 stale"},
		{"rubbish", "/oauth/token 400 refused"},
		{"", "/oauth/token 400 invalid"},
	} {
		h.post("/oauth/token", nil, "client_id", "phone", "grant_type", "refresh_token", "refresh_token", c.token)
		if got := o.requests(); !slices.Equal(got, []string{c.want}) {
			t.Errorf("for token %q: %q, want %q", c.token, got, c.want)
		}
	}
	if err := h.cfg.Store.(*sqlitestore.Store).Close(); err != nil {
		t.Fatal(err)
	}
	h.refresh(first.RefreshToken)
	if got := o.requests(); !slices.Equal(got, []string{"/auth/refresh-token 503 unavailable"}) {
		t.Errorf("when the store is away: %q", got)
	}
}

// The store, the queue and the directory are followed within the request that they are for,
// and whatever begins ends.
func TestTheWorkWithinARequest(t *testing.T) {
	o := &observer{}
	h := newHarness(t, func(c *server.Config) { c.Observe = o.observe })
	h.signedIn()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, want := range []string{"queue", "password", "store Create", "store List", "/auth/login 200 signed_in"} {
		if !slices.Contains(o.ended, want) {
			t.Errorf("%q is missing in %q", want, o.ended)
		}
	}
	if o.open != 0 {
		t.Errorf("%d pieces of work have not ended", o.open)
	}
	if ids := slices.Compact(slices.DeleteFunc(o.ids, func(id string) bool { return id == "" })); len(ids) != 1 {
		t.Errorf("request IDs %q, want one", ids)
	}
}

// A client quotes the ID from the answer, and the operator finds the request in the log and
// in the events. Only a trusted proxy chooses the ID.
func TestARequestHasAnID(t *testing.T) {
	var log bytes.Buffer
	h := newHarness(t, func(c *server.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	id := func(remote, given string) string {
		t.Helper()
		a := h.send(request{method: "GET", path: "/nowhere", remote: remote, header: http.Header{"X-Request-Id": {given}}})
		return a.header.Get("X-Request-Id")
	}
	if got := id("10.0.0.1:1234", "from-the-proxy.1"); got != "from-the-proxy.1" {
		t.Errorf("the ID of a trusted proxy became %q", got)
	}
	for _, c := range []struct{ remote, given string }{
		{"192.0.2.1:1234", "from-a-client"},
		{"10.0.0.1:1234", "two\nlines"},
		{"10.0.0.1:1234", strings.Repeat("x", 129)},
		{"10.0.0.1:1234", ""},
	} {
		first, second := id(c.remote, c.given), id(c.remote, c.given)
		if first == c.given || len(first) != 20 || first == second {
			t.Errorf("%+v: %q and %q, want two new IDs", c, first, second)
		}
	}

	a := h.signIn("alice", "wonderland")
	if got := a.header.Get("X-Request-Id"); got == "" || got != h.requestID {
		t.Errorf("the event has the ID %q, the answer %q", h.requestID, got)
	}
	h.send(request{ // logs a warning
		method: "POST", path: "/auth/login", body: object("username", "alice", "password", "wonderland"),
		header: http.Header{"X-Forwarded-For": {"192.0.2.1"}},
	})
	if !strings.Contains(log.String(), " request_id=") {
		t.Errorf("the log has no ID: %s", log.String())
	}
}
