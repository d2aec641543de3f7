package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

func TestSignIn(t *testing.T) {
	h := newHarness(t)
	a := h.signIn("alice", "wonderland")
	a.want(t, 200, "", "")
	if a.TokenType != "Bearer" || a.ExpiresIn != 7200 || a.RefreshExpiresIn != 7*24*3600 {
		t.Errorf("got %s", a.text)
	}
	if !strings.HasPrefix(a.RefreshToken, rotation.Prefix) {
		t.Errorf("refresh token %.10s…", a.RefreshToken)
	}
	if _, err := rotation.ParseSessionID(a.SessionID); err != nil {
		t.Error(err)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	h.wantKinds(server.EventSignedIn)
}

func TestSignInDoesNotTellWhetherAUserExists(t *testing.T) {
	h := newHarness(t)
	wrong, unknown := h.signIn("alice", "builder"), h.signIn("carol", "builder")
	wrong.want(t, 401, "invalid_grant", "invalid_credentials")
	if wrong.status != unknown.status || wrong.text != unknown.text {
		t.Errorf("known user:   %d %s\nunknown user: %d %s", wrong.status, wrong.text, unknown.status, unknown.text)
	}
	if got, want := wrong.header.Get("WWW-Authenticate"), `Bearer realm="https://auth.example.com"`; got != want {
		t.Errorf("WWW-Authenticate %s, want %s", got, want)
	}
	h.wantKinds(server.EventSignInFailed, server.EventSignInFailed)
}

func TestSpacesAroundAUsernameDoNotCount(t *testing.T) {
	newHarness(t).signIn(" alice\u00a0", "wonderland").want(t, 200, "", "")
}

func TestSignInIsLimited(t *testing.T) {
	h := newHarness(t)
	for range 10 {
		h.signIn("alice", "guess").want(t, 401, "invalid_grant", "invalid_credentials")
		h.signIn("carol", "guess").want(t, 401, "invalid_grant", "invalid_credentials")
	}
	h.kinds()
	known, unknown := h.signIn("alice", "wonderland"), h.signIn("carol", "wonderland")
	known.want(t, 429, "slow_down", "")
	if known.text != unknown.text || known.header.Get("Retry-After") != unknown.header.Get("Retry-After") {
		t.Errorf("known user:   %s\nunknown user: %s", known.text, unknown.text)
	}
	if got := known.header.Get("Retry-After"); got != "10" {
		t.Errorf("Retry-After %s, want 10", got)
	}
	h.wantKinds(server.EventSignInLimited, server.EventSignInLimited)

	h.advance(10 * time.Second)
	h.signIn("alice", "wonderland").want(t, 200, "", "")
}

func TestSignInLimitsGoByTheAddressBehindATrustedProxy(t *testing.T) {
	h := newHarness(t, func(c *server.Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	from := func(client string) answer {
		return h.send(request{
			method: "POST", path: "/auth/login", body: object("username", "alice", "password", "guess"),
			remote: "10.0.0.1:1234", header: http.Header{"X-Forwarded-For": {client}},
		})
	}
	for range 10 {
		from("192.0.2.1").want(t, 401, "invalid_grant", "invalid_credentials")
	}
	from("192.0.2.1").want(t, 429, "slow_down", "")
	from("192.0.2.2").want(t, 401, "invalid_grant", "invalid_credentials")
}

func TestSessionsAreNamedAfterTheirDevice(t *testing.T) {
	for _, c := range []struct{ name, body, agent, want string }{
		{"given", `{"username":"alice","password":"wonderland","device":"Alice's\u0007 phone"}`, "curl", "Alice's phone"},
		{"the user agent", `{"username":"alice","password":"wonderland"}`, "curl/8", "curl/8"},
		{"null", `{"username":"alice","password":"wonderland","device":null}`, "curl/8", "curl/8"},
		{"too long", object("username", "alice", "password", "wonderland", "device", strings.Repeat("é", 101)), "", strings.Repeat("é", 100)},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			a := h.send(request{method: "POST", path: "/auth/login", body: c.body, header: http.Header{"User-Agent": {c.agent}}})
			a.want(t, 200, "", "")
			list := h.call("GET", "/auth/sessions", a.AccessToken)
			if len(list.Sessions) != 1 || list.Sessions[0].Device != c.want {
				t.Errorf("got %s, want %q", list.text, c.want)
			}
		})
	}
}

// brokenDirectory is one whose back end is down.
type brokenDirectory struct{}

func (brokenDirectory) Authenticate(context.Context, string, string) (server.Identity, error) {
	return server.Identity{}, errors.New("ldap://secret.internal: connection refused")
}

func TestADirectoryThatIsDownIsNobodysWrongPassword(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.Directory = brokenDirectory{} })
	for range 20 {
		a := h.signIn("alice", "wonderland")
		a.want(t, 503, "temporarily_unavailable", "")
		if a.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After %q", a.header.Get("Retry-After"))
		}
		if strings.Contains(a.text, "secret.internal") {
			t.Fatalf("internals leak: %s", a.text)
		}
	}
	h.wantKinds()
}

// namelessDirectory forgets to say who it is.
type namelessDirectory struct{}

func (namelessDirectory) Authenticate(context.Context, string, string) (server.Identity, error) {
	return server.Identity{Username: "alice"}, nil
}

func TestAUserWithoutASubjectIsNotSignedIn(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.Directory = namelessDirectory{} })
	h.signIn("alice", "wonderland").want(t, 500, "server_error", "")
	h.wantKinds()
}

func TestEventsSayWhoAndWhere(t *testing.T) {
	h := newHarness(t)
	a := h.signIn("alice", "wonderland")
	id, err := rotation.ParseSessionID(a.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	h.signOut(a.RefreshToken)
	want := []server.Event{
		{Kind: server.EventSignedIn, Session: id, Subject: "u-1", Time: h.now(), IP: "192.0.2.1"},
		{Kind: server.EventSessionEnded, Session: id, Subject: "u-1", Reason: rotation.SignedOut, Time: h.now(), IP: "192.0.2.1"},
	}
	if !slices.Equal(h.events, want) {
		t.Errorf("got  %+v\nwant %+v", h.events, want)
	}
	h.kinds()
	h.send(request{method: "POST", path: "/auth/login", body: object("username", "alice", "password", "x"), remote: "@"})
	if e := h.events[0]; e.IP != "" {
		t.Errorf("over a Unix socket the IP is %q", e.IP)
	}
}

func TestACancelledSignInIsNotFree(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.Directory = waitingDirectory{} })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 10 {
		h.sendWith(ctx, request{method: "POST", path: "/auth/login", body: object("username", "alice", "password", "guess")})
	}
	h.signIn("alice", "guess").want(t, 429, "slow_down", "")
}

// waitingDirectory answers when the client has gone.
type waitingDirectory struct{}

func (waitingDirectory) Authenticate(ctx context.Context, _, _ string) (server.Identity, error) {
	<-ctx.Done()
	return server.Identity{}, ctx.Err()
}

// A password is changed, and the user's sessions are ended, while a sign-in with
// the old password is being checked.
func TestASignInUnderWayDoesNotSurviveANewPassword(t *testing.T) {
	for name, c := range map[string]struct {
		valid        bool
		err          error
		status       int
		code, reason string
		live         int
	}{
		"nothing has changed":     {valid: true, status: 200, live: 1},
		"the password is another": {status: 401, code: "invalid_grant", reason: "invalid_credentials"},
		"nobody knows":            {err: errors.New("down"), status: 503, code: "temporarily_unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(cfg *server.Config) { cfg.Directory = secondThoughts{somePeople(), c.valid, c.err} })
			h.signIn("alice", "wonderland").want(t, c.status, c.code, c.reason)
			sessions, err := h.cfg.Store.List(t.Context(), "u-1", store.Page{})
			if err != nil || len(sessions) != c.live {
				t.Errorf("%d sessions live on, %v; want %d", len(sessions), err, c.live)
			}
		})
	}
}

// secondThoughts is a directory whose users change behind its back.
type secondThoughts struct {
	people
	valid bool
	err   error
}

func (d secondThoughts) StillValid(context.Context, server.Identity) (bool, error) {
	return d.valid, d.err
}

func TestTheUsernameSurvivesARefresh(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	for range 2 {
		if me := h.call("GET", "/auth/me", a.AccessToken); me.Username != "alice" {
			t.Errorf("got %s", me.text)
		}
		a = h.refresh(a.RefreshToken)
	}
}

func TestSignInBody(t *testing.T) {
	long := func(n int) string { return strings.Repeat("x", n) }
	h := newHarness(t)
	for _, c := range []struct {
		name, body string
		names      string
	}{
		{"no username", `{"password":"x"}`, "username"},
		{"no password", `{"username":"x"}`, "password"},
		{"null", `{"username":"x","password":null}`, "password"},
		{"empty", `{"username":"","password":"x"}`, "username"},
		{"spaces alone", `{"username":"  ","password":"x"}`, "username"},
		{"a number", `{"username":1,"password":"x"}`, "username"},
		{"an object", `{"username":"x","password":{}}`, "password"},
		{"a device that is no text", `{"username":"x","password":"y","device":[]}`, "device"},
		{"another spelling of a name", `{"Username":"x","password":"y"}`, "username"},
		{"control characters", `{"username":"x\u0000","password":"y"}`, "username"},
		{"a long username", object("username", long(257), "password", "x"), "username"},
		{"a long password", object("username", "x", "password", long(1025)), "password"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.send(request{method: "POST", path: "/auth/login", body: c.body})
			a.want(t, 400, "invalid_request", "")
			if !strings.Contains(a.Description, c.names) {
				t.Errorf("%q does not name %s", a.Description, c.names)
			}
		})
	}
	h.send(request{
		method: "POST", path: "/auth/login",
		body: object("username", long(256), "password", long(1024), "unknown", "field"),
	}).want(t, 401, "invalid_grant", "invalid_credentials")
}

func TestPasswordsStayOutOfAnswersAndEvents(t *testing.T) {
	h := newHarness(t)
	a := h.signIn("alice", "hunter2")
	if told := a.text + fmt.Sprintf("%+v", h.events); strings.Contains(told, "hunter2") {
		t.Errorf("the password is in %s", told)
	}
}
