package server_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// Two tabs refresh at the same moment, without a lock. The reply to one of them takes a
// minute. Meanwhile the other tab goes on, and loses a reply. The late reply must not
// displace the token that the lost one has made current: its sibling would look stolen.
func TestALateReplyDisplacesNoCurrentToken(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	late := b.send("/auth/refresh-token", object("sessionId", a.SessionID))
	b.refresh(a.SessionID).want(t, 200, "", "")
	h.advance(time.Minute)
	b.send("/auth/refresh-token", object("sessionId", a.SessionID)).want(t, 200, "", "") // lost
	h.advance(time.Minute)

	b.receive(late).want(t, 200, "", "")
	b.refresh(a.SessionID).want(t, 200, "", "")
	h.advance(time.Hour)
	b.refresh(a.SessionID).want(t, 200, "", "")
	b.wantCookies(t, 2)
}

// Five tabs refresh whenever they like, without a lock. Replies get lost, or arrive late
// and in any order. The session goes on, and cookies do not pile up.
func TestRepliesInAnyOrder(t *testing.T) {
	for seed := range uint64(8) {
		h := newHarness(t)
		b := h.browser()
		session := b.signedIn().SessionID
		chance := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // a seed replays
		var underWay []reply
		for step := range 120 {
			h.advance(time.Duration(chance.Int64N(int64(time.Minute))))
			switch n := len(underWay); {
			case n == 0 || n < 5 && chance.IntN(2) == 0:
				r := b.send("/auth/refresh-token", object("sessionId", session))
				if r.status != 200 {
					t.Fatalf("seed %d, step %d: %d %s", seed, step, r.status, r.text)
				}
				underWay = append(underWay, r)
			default:
				i := chance.IntN(n)
				if chance.IntN(4) > 0 {
					b.receive(underWay[i])
				}
				underWay = append(underWay[:i], underWay[i+1:]...)
			}
			if n := len(b.held()); n > 8 {
				t.Fatalf("seed %d, step %d: %d cookies", seed, step, n)
			}
		}
		h.advance(time.Minute)
		b.refresh(session).want(t, 200, "", "")
		b.wantCookies(t, 2)
	}
}

// One tab signs out while another refreshes. The reply to the refresh arrives last, and
// brings nothing back.
func TestAReplyAfterTheSignOutRestoresNothing(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	late := b.send("/auth/refresh-token", object("sessionId", a.SessionID))
	b.signOut(a.SessionID).want(t, 204, "", "")
	b.wantCookies(t, 0)
	b.receive(late).want(t, 200, "", "")
	b.wantCookies(t, 1) // of a session that has ended

	h.call("GET", "/auth/me", late.AccessToken).want(t, 401, "invalid_token", "signed_out")
	for _, session := range []string{"", a.SessionID} {
		h.refreshIsRefused(b, session, "signed_out")
		b.wantCookies(t, 0)
		b.receive(late)
	}
}

// Bob signs in while a refresh of alice's is under way. Her reply arrives last, and leaves
// bob's session alone.
func TestAReplyAfterAnotherUserSignedIn(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	alice := b.signedIn()
	late := b.send("/auth/refresh-token", object("sessionId", alice.SessionID))
	h.kinds()
	bob := b.signIn("bob", "builder")
	bob.want(t, 200, "", "")
	h.wantKinds(server.EventSessionEnded, server.EventSignedIn)
	b.wantCookies(t, 1)
	b.receive(late)

	for _, session := range []string{"", bob.SessionID} {
		next := b.refresh(session)
		next.want(t, 200, "", "")
		if next.SessionID != bob.SessionID {
			t.Errorf("refresh of %q: session %s, want bob's %s", session, next.SessionID, bob.SessionID)
		}
	}
	h.refreshIsRefused(b, alice.SessionID, "signed_out")
	b.refresh(bob.SessionID).want(t, 200, "", "")

	// Alice's tab signs out late, and means her own session.
	b.signOut(alice.SessionID).want(t, 204, "", "")
	b.refresh("").want(t, 200, "", "")
}

// A user clicks on "sign in" twice. Neither request has the cookie of the other, so there
// are two sessions. A sign-out ends both: otherwise a reload would bring the second one up.
func TestASignOutAfterADoubleSignIn(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	credentials := object("username", "alice", "password", "wonderland")
	first, second := b.send("/auth/login", credentials), b.send("/auth/login", credentials)
	b.receive(second)
	b.receive(first)
	b.wantCookies(t, 2)
	b.refresh(first.SessionID).want(t, 200, "", "")
	b.signOut(first.SessionID).want(t, 204, "", "")
	b.wantCookies(t, 0)
	b.refresh("").want(t, 401, "cookie_missing", "")
	h.refreshIsRefused(b, second.SessionID, "signed_out")
}

// A sign-in that fails changes nothing.
func TestAFailedSignInLeavesTheEarlierSession(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	failed := b.send("/auth/login", object("username", "bob", "password", "wrong"))
	failed.want(t, 401, "invalid_grant", "invalid_credentials")
	if len(failed.cookies) != 0 {
		t.Errorf("it sets %v", failed.cookies)
	}
	b.receive(failed)
	b.refresh(a.SessionID).want(t, 200, "", "")
}

// A thief copies the browser's cookies. The fork is noticed as in bearer mode.
func TestStolenCookies(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	a := b.signedIn()
	thief := b.copy()
	for range 2 {
		h.advance(time.Minute)
		thief.refresh(a.SessionID).want(t, 200, "", "")
	}
	h.advance(time.Minute)
	h.kinds()
	h.refreshIsRefused(b, a.SessionID, "reuse_detected")
	h.wantKinds(server.EventReuseDetected, server.EventSessionEnded)
	b.wantCookies(t, 0)
	h.refreshIsRefused(thief, a.SessionID, "reuse_detected")
}

// A cookie proves that the user has signed in on the device before; then the failures of
// others do not count.
func TestACookieKnowsTheDevice(t *testing.T) {
	h := newHarness(t)
	b := h.browser()
	b.signedIn()
	for range 10 {
		h.signIn("alice", "guess").want(t, 401, "invalid_grant", "invalid_credentials")
	}
	h.signIn("alice", "wonderland").want(t, 429, "slow_down", "")
	b.signIn("alice", "wonderland").want(t, 200, "", "")
}
