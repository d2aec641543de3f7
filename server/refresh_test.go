package server_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

func TestRefresh(t *testing.T) {
	h := newHarness(t)
	first := h.signedIn()
	second := h.refresh(first.RefreshToken)
	second.want(t, 200, "", "")
	if second.SessionID != first.SessionID || second.RefreshToken == first.RefreshToken || second.AccessToken == first.AccessToken {
		t.Errorf("got %s after %s", second.text, first.text)
	}
	if second.ExpiresIn != 7200 || second.RefreshExpiresIn != 7*24*3600 || second.TokenType != "Bearer" {
		t.Errorf("got %s", second.text)
	}
	h.wantKinds(server.EventRefreshed)
	h.call("GET", "/auth/me", second.AccessToken).want(t, 200, "", "")
	h.call("GET", "/auth/me", first.AccessToken).want(t, 200, "", "")
}

func TestALostReplyIsRetried(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	lost := h.refresh(a.RefreshToken)
	lost.want(t, 200, "", "")
	h.advance(6 * 24 * time.Hour)
	again := h.refresh(a.RefreshToken)
	again.want(t, 200, "", "")
	h.wantKinds(server.EventRefreshed, server.EventRefreshRetried)
	if again.RefreshToken == lost.RefreshToken {
		t.Error("the same successor twice: a fork could not be told from a retry")
	}
	h.refresh(again.RefreshToken).want(t, 200, "", "")
}

func TestADelayedDuplicateIsRefusedAndTheSessionLives(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	b := h.refresh(a.RefreshToken)
	c := h.refresh(b.RefreshToken)
	h.kinds()
	h.advance(9 * time.Second)
	stale := h.refresh(a.RefreshToken)
	stale.want(t, 409, "stale_refresh_token", "")
	if stale.RefreshToken != "" || stale.AccessToken != "" {
		t.Error("a token was given")
	}
	h.wantKinds(server.EventRefreshStale)
	h.refresh(c.RefreshToken).want(t, 200, "", "")
}

func TestReuseEndsTheSession(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	b := h.refresh(a.RefreshToken)
	c := h.refresh(b.RefreshToken)
	h.kinds()
	h.advance(10 * time.Second)
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.wantKinds(server.EventReuseDetected, server.EventSessionEnded)

	h.refresh(c.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.wantKinds(server.EventRefreshRefused)
	h.call("GET", "/auth/me", c.AccessToken).want(t, 401, "invalid_token", "reuse_detected")
}

func TestTheft(t *testing.T) {
	h := newHarness(t)
	stolen := h.signedIn().RefreshToken

	victim := h.refresh(stolen)
	thief := h.refresh(stolen)
	thief.want(t, 200, "", "")

	h.advance(2 * time.Hour)
	thief = h.refresh(thief.RefreshToken)
	thief.want(t, 200, "", "")
	h.advance(time.Minute)
	h.refresh(victim.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.refresh(thief.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.call("GET", "/auth/me", thief.AccessToken).want(t, 401, "invalid_token", "reuse_detected")
}

// A thief refreshes more often than once per leeway. The server takes the victim's tokens
// for delayed duplicates only for a limited number of generations.
func TestAThiefWhoNeverRestsIsSeen(t *testing.T) {
	h := newHarness(t)
	stolen := h.signedIn().RefreshToken
	victim := h.refresh(stolen)
	thief := h.refresh(stolen)
	for range 17 { // the thief's first own token is a sibling of the victim's
		h.advance(5 * time.Second)
		thief = h.refresh(thief.RefreshToken)
		thief.want(t, 200, "", "")
		h.refresh(victim.RefreshToken).want(t, 409, "stale_refresh_token", "")
	}
	h.advance(5 * time.Second)
	thief = h.refresh(thief.RefreshToken)
	thief.want(t, 200, "", "")
	h.refresh(victim.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
	h.refresh(thief.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
}

// A machine starts with the clock of another year, and corrects it later.
func TestAClockThatWasBehindSignsNobodyOut(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.advance(-365 * 24 * time.Hour)
	for range 3 {
		a = h.refresh(a.RefreshToken)
		a.want(t, 200, "", "")
	}
	h.advance(365*24*time.Hour + time.Minute)
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}

// With a leeway of a minute and access tokens of two seconds, an honest client refreshes
// many times while the network holds a request back for almost a minute.
func TestALongLeewayReachesFurtherBack(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.Leeway, c.AccessTTL = time.Minute, 2*time.Second })
	first := h.signedIn()
	a := first
	for range 25 {
		a = h.refresh(a.RefreshToken)
		h.advance(2 * time.Second)
	}
	h.refresh(first.RefreshToken).want(t, 409, "stale_refresh_token", "")
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}

func TestAnEndIsDurableThoughItsClientIsGone(t *testing.T) {
	for _, c := range []struct {
		name    string
		after   time.Duration
		present func(first, last answer) string
		reason  string
	}{
		{"reuse", time.Minute, func(first, _ answer) string { return first.RefreshToken }, "reuse_detected"},
		{"too late", 8 * 24 * time.Hour, func(_, last answer) string { return last.RefreshToken }, "expired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			first := h.signedIn()
			last := h.refresh(h.refresh(first.RefreshToken).RefreshToken)
			h.advance(c.after)

			ctx, cancel := context.WithCancel(t.Context())
			kept := h.cfg.Store
			h.cfg.Store = goneBeforeEnd{kept, cancel}
			h.server = h.start(h.cfg)
			h.sendWith(ctx, request{method: "POST", path: "/auth/refresh-token", body: object("refreshToken", c.present(first, last))})

			id, err := rotation.ParseSessionID(first.SessionID)
			if err != nil {
				t.Fatal(err)
			}
			if session, err := kept.Get(t.Context(), id); err != nil || string(session.EndReason) != c.reason {
				t.Errorf("ended as %q (%v), want %q", session.EndReason, err, c.reason)
			}
		})
	}
}

// goneBeforeEnd is a real store whose client goes away in the middle.
type goneBeforeEnd struct {
	server.Store
	gone context.CancelFunc
}

func (g goneBeforeEnd) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	g.gone()
	return g.Store.End(ctx, id, end)
}

func TestParallelRefreshesOfOneToken(t *testing.T) {
	h := newHarness(t)
	token := h.signedIn().RefreshToken
	answers := make([]answer, 50)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = h.refresh(token) })
	}
	wg.Wait()
	for _, a := range answers {
		a.want(t, 200, "", "")
	}
	h.advance(time.Hour)
	h.refresh(answers[7].RefreshToken).want(t, 200, "", "")
}

func TestParallelRefreshesOfSiblingsNeverEndTheSessionWithinTheLeeway(t *testing.T) {
	h := newHarness(t)
	token := h.signedIn().RefreshToken
	siblings := make([]string, 20)
	for i := range siblings {
		siblings[i] = h.refresh(token).RefreshToken
	}
	answers := make([]answer, len(siblings))
	var wg sync.WaitGroup
	for i, sibling := range siblings {
		wg.Go(func() { answers[i] = h.refresh(sibling) })
	}
	wg.Wait()
	won := 0
	for _, a := range answers {
		switch a.status {
		case 200:
			won++
			h.refresh(a.RefreshToken).want(t, 200, "", "")
		default:
			a.want(t, 409, "stale_refresh_token", "")
		}
	}
	if won != 1 {
		t.Errorf("%d siblings were confirmed, want 1", won)
	}
}

func TestTextbookRotation(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.RetryWindow, c.Leeway = -1, -1 })
	a := h.signedIn()
	h.refresh(a.RefreshToken).want(t, 200, "", "")
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
}

func TestRetryWindow(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.RetryWindow = time.Minute })
	a := h.signedIn()
	h.refresh(a.RefreshToken).want(t, 200, "", "")
	h.advance(time.Minute - time.Millisecond)
	h.refresh(a.RefreshToken).want(t, 200, "", "")
	h.advance(time.Millisecond)
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
}

func TestEveryRefreshSlidesTheLifetime(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	for range 5 {
		h.advance(7*24*time.Hour - time.Second)
		a = h.refresh(a.RefreshToken)
		a.want(t, 200, "", "")
	}
	h.advance(7*24*time.Hour + 10*time.Second)
	h.kinds()
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "expired")
	h.wantKinds(server.EventRefreshRefused, server.EventSessionEnded)
}

// The server accepts a request that was sent in time and arrives within the leeway.
func TestTheLifetimeEndsWithALeeway(t *testing.T) {
	const lifetime = 7 * 24 * time.Hour
	h := newHarness(t)
	newer := h.signedIn().RefreshToken
	h.advance(lifetime + 9*time.Second)
	current := newer
	newer = h.refresh(current).RefreshToken
	h.advance(lifetime - time.Second)
	h.refresh(current).want(t, 200, "", "")
	h.advance(time.Second)
	h.refresh(current).want(t, 409, "stale_refresh_token", "")
	h.advance(9 * time.Second)
	h.refresh(newer).want(t, 200, "", "")
}

// When the server tells a client that the session has expired, the session has ended, for
// clients with a newer token too.
func TestWhatIsRefusedAsExpiredEndsTheSession(t *testing.T) {
	for _, c := range []struct {
		name    string
		present func(first, second answer) string
	}{
		{"the current one again", func(first, _ answer) string { return first.RefreshToken }},
		{"a newer one", func(_, second answer) string { return second.RefreshToken }},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			first := h.signedIn()
			second := h.refresh(first.RefreshToken)
			h.advance(24 * time.Hour)
			younger := h.refresh(first.RefreshToken)
			younger.want(t, 200, "", "")
			h.advance(6*24*time.Hour + 10*time.Second)
			h.kinds()
			h.refresh(c.present(first, second)).want(t, 400, "invalid_grant", "expired")
			h.wantKinds(server.EventRefreshRefused, server.EventSessionEnded)

			h.cfg.Store = openStore(t, h.path)
			h.server = h.start(h.cfg)
			h.refresh(younger.RefreshToken).want(t, 400, "invalid_grant", "expired")
			h.wantKinds(server.EventRefreshRefused)
		})
	}
}

// shortLived has lifetimes that a thief can work around in seconds.
func shortLived(c *server.Config) {
	c.AccessTTL, c.RefreshTTL, c.Leeway = time.Second, 6*time.Second, 2*time.Second
}

// The owner presents a token after the refresh lifetime, and a thief has used the session
// meanwhile. When the server tells the owner that the session has ended, it must have
// ended for the thief too.
func TestAnOwnerWhoComesBackTooLateEndsTheThiefsSession(t *testing.T) {
	h := newHarness(t, shortLived)
	owner := h.signedIn()
	thief := h.refresh(owner.RefreshToken)
	goOn := func() {
		h.advance(1500 * time.Millisecond)
		thief = h.refresh(thief.RefreshToken)
		thief.want(t, 200, "", "")
	}
	for range 4 {
		goOn()
	}
	h.advance(time.Second)
	back := h.refresh(owner.RefreshToken)
	for tries := 0; back.status == 409 && tries < 20; tries++ { // while it counts as a delayed duplicate
		goOn()
		back = h.refresh(owner.RefreshToken)
	}
	back.want(t, 400, "invalid_grant", "reuse_detected")
	h.refresh(thief.RefreshToken).want(t, 400, "invalid_grant", "reuse_detected")
}

// While the owner is away, the thief keeps getting successors of the stolen token, and
// presents the last of them after the owner's token has expired.
func TestAThiefWhoOnlyRetriesDoesNotOutliveTheOwner(t *testing.T) {
	h := newHarness(t, shortLived)
	shared := h.signedIn()
	owner := h.refresh(shared.RefreshToken)
	var thief answer
	for range 5 {
		h.advance(time.Second)
		thief = h.refresh(shared.RefreshToken)
		thief.want(t, 200, "", "")
	}
	h.advance(4 * time.Second)
	h.refresh(owner.RefreshToken).want(t, 400, "invalid_grant", "expired")
	h.refresh(thief.RefreshToken).want(t, 400, "invalid_grant", "expired")
}

func TestNoTokenOutlivesTheSession(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.SessionTTL = 3 * time.Hour })
	a := h.signedIn()
	if a.ExpiresIn != 7200 || a.RefreshExpiresIn != 3*3600 {
		t.Errorf("at sign-in: %s", a.text)
	}
	h.advance(2*time.Hour + 30*time.Minute)
	a = h.refresh(a.RefreshToken)
	if a.ExpiresIn != 30*60 || a.RefreshExpiresIn != 30*60 {
		t.Errorf("half an hour before the end: %s", a.text)
	}
	end := h.call("GET", "/auth/sessions", a.AccessToken).Sessions[0].ExpiresAt
	if me := h.call("GET", "/auth/me", a.AccessToken); me.ExpiresAt.After(end) {
		t.Errorf("the access token expires at %v, the session at %v", me.ExpiresAt, end)
	}
	h.advance(30*time.Minute - time.Millisecond)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 200, "", "")
	h.advance(time.Second)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "")
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "expired")
}

func TestAStoreThatWentBackCostsNobodyTheirSession(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	id, err := rotation.ParseSessionID(a.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := h.cfg.Store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		a = h.refresh(a.RefreshToken)
	}
	h.kinds()

	h.cfg.Store = openStore(t, t.TempDir()+"/restored.db")
	if err := h.cfg.Store.Create(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	h.server = h.start(h.cfg)
	h.refresh(a.RefreshToken).want(t, 200, "", "")
	h.wantKinds(server.EventStoreWentBack, server.EventRefreshed)
}

func TestRefreshKeysRotate(t *testing.T) {
	h := newHarness(t)
	old := h.signedIn()
	key, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.RefreshKeys = append([]rotation.Key{key}, h.cfg.RefreshKeys...)
	h.server = h.start(h.cfg)
	a := h.refresh(old.RefreshToken)
	a.want(t, 200, "", "")

	h.cfg.RefreshKeys = h.cfg.RefreshKeys[:1]
	h.server = h.start(h.cfg)
	h.refresh(old.RefreshToken).want(t, 400, "invalid_grant", "unknown")
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}

func TestRefreshRefuses(t *testing.T) {
	h := newHarness(t)
	signedOut := h.signedIn()
	h.signOut(signedOut.RefreshToken)
	caller, revoked := h.signedIn(), h.signedIn()
	h.call("DELETE", "/auth/sessions/"+revoked.SessionID, caller.AccessToken)
	forged := caller.RefreshToken[:len(caller.RefreshToken)-1] + "A"
	if forged == caller.RefreshToken {
		forged = caller.RefreshToken[:len(caller.RefreshToken)-1] + "B"
	}
	stranger := newHarness(t, func(c *server.Config) { c.RefreshKeys = h.cfg.RefreshKeys }).signedIn()

	for _, c := range []struct{ name, token, reason string }{
		{"signed out", signedOut.RefreshToken, "signed_out"},
		{"revoked", revoked.RefreshToken, "revoked"},
		{"malformed", "undefined", "malformed"},
		{"an access token", caller.AccessToken, "malformed"},
		{"forged", forged, "unknown"},
		{"another server's key", newHarness(t).signedIn().RefreshToken, "unknown"},
		{"a session that is not there", stranger.RefreshToken, "unknown"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h.refresh(c.token).want(t, 400, "invalid_grant", c.reason)
		})
	}
}
