package server_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// An event shows the operator which user a failed sign-in was for and its address, and
// never the name that the client sent.
func TestGuessingIsSeen(t *testing.T) {
	h := newHarness(t)
	for range 10 {
		h.signIn("alice", "guess").want(t, 401, "invalid_grant", "invalid_credentials")
	}
	h.signIn("alice", "guess").want(t, 429, "slow_down", "")
	h.signIn("my password", "alice").want(t, 401, "invalid_grant", "invalid_credentials")
	event := func(kind server.EventKind, subject string) server.Event {
		return server.Event{Kind: kind, Subject: subject, Time: h.now(), IP: "192.0.2.1"}
	}
	want := append(slices.Repeat([]server.Event{event(server.EventSignInFailed, "u-1")}, 10),
		event(server.EventSignInLimited, "u-1"), event(server.EventSignInFailed, ""))
	if !slices.Equal(h.events, want) {
		t.Errorf("got  %+v\nwant %+v", h.events, want)
	}
}

func TestASignInThatThereIsNoRoomForIsSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		directory := newSlowDirectory()
		h := newHarness(t, func(c *server.Config) {
			c.Directory, c.Now, c.SignIn.Concurrency = directory, time.Now, 1
			c.Logger = slog.New(slog.NewTextHandler(&log, nil))
		})
		done := make(chan answer)
		go func() { done <- h.signIn("alice", "wonderland") }()
		synctest.Wait()
		h.signIn("bob", "builder").want(t, 503, "temporarily_unavailable", "")
		close(directory.let)
		(<-done).want(t, 200, "", "")
		h.wantKinds(server.EventSignInRefused, server.EventSignedIn)
		if log.Len() > 0 {
			t.Errorf("an error of the server's was logged: %s", log.String())
		}
	})
}

// Behind a proxy that is not trusted, all clients share one address. The server warns the
// operator of that, but not for every request.
func TestAProxyThatIsNotTrusted(t *testing.T) {
	for name, c := range map[string]struct {
		remote    string
		forwarded bool
		warned    bool
	}{
		"a proxy that is not trusted": {remote: "172.17.0.1:1234", forwarded: true, warned: true},
		"over a Unix socket":          {remote: "@", forwarded: true, warned: true},
		"a proxy that is trusted":     {remote: "10.0.0.1:1234", forwarded: true},
		"no proxy":                    {remote: "172.17.0.1:1234"},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			h := newHarness(t, func(cfg *server.Config) {
				cfg.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
				cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
			})
			warnings := func() int { return strings.Count(log.String(), "X-Forwarded-For from an address that is not trusted") }
			call := func() {
				req := request{method: "POST", path: "/auth/login", body: object("username", "alice", "password", "wonderland"), remote: c.remote}
				if c.forwarded {
					req.header = http.Header{"X-Forwarded-For": {"192.0.2.1"}}
				}
				h.send(req).want(t, 200, "", "")
			}
			want := 0
			if c.warned {
				want = 1
			}
			call()
			call()
			if got := warnings(); got != want {
				t.Errorf("%d warnings, want %d: %s", got, want, log.String())
			}
			h.advance(time.Hour)
			call()
			if got := warnings(); got != 2*want {
				t.Errorf("%d warnings after an hour, want %d", got, 2*want)
			}
		})
	}
}

// Many addresses guess alice's password. A device on which she has signed in before sends
// a refresh token of that session, which has ended, and can sign in from an address that
// is new for her. A token of another user does not help, nor does a forged one.
func TestADeviceThatHasSignedInBeforeGetsThrough(t *testing.T) {
	h := newHarness(t)
	hers, his := h.signedIn(), h.signIn("bob", "builder")
	h.signOut(hers.RefreshToken).want(t, 204, "", "")
	for n := range 110 {
		h.send(request{
			method: "POST", path: "/auth/login", body: object("username", "alice", "password", "guess"),
			remote: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, byte(n)}), 1234).String(),
		})
	}
	from := func(token string) answer {
		return h.send(request{
			method: "POST", path: "/auth/login", remote: "203.0.113.1:1234",
			body: object("username", "alice", "password", "wonderland", "refreshToken", token),
		})
	}
	forged := hers.RefreshToken[:len(hers.RefreshToken)-4] + "AAAA"
	for name, token := range map[string]string{"none": "", "bob's": his.RefreshToken, "a forged one": forged, "no token": "x"} {
		if a := from(token); a.status != 429 {
			t.Errorf("with %s: %d %s, want 429", name, a.status, a.text)
		}
	}
	from(hers.RefreshToken).want(t, 200, "", "")
	from(hers.RefreshToken).want(t, 200, "", "")
	if again := h.refresh(his.RefreshToken); again.status != 200 {
		t.Errorf("a token that was shown at a sign-in is used up: %s", again.text)
	}
}
