package server_test

import (
	"context"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// busyStore is a real store in which another request gets in before an end.
type busyStore struct {
	server.Store
	beforeEnd func()
}

func (b *busyStore) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	if b.beforeEnd != nil {
		b.beforeEnd()
	}
	return b.Store.End(ctx, id, end)
}

func newBusyHarness(t *testing.T, changes ...func(*server.Config)) (*harness, *busyStore) {
	t.Helper()
	busy := &busyStore{}
	return newHarness(t, append(changes, func(c *server.Config) { busy.Store, c.Store = c.Store, busy })...), busy
}

// Two processes share a session. One has got a pair, has failed to store it, and fell
// asleep; the other has refreshed the stored pair five days later. The first one wakes up
// and presents its token, which has expired. The server decides to end the session, and
// before it has done so the other process refreshes.
func TestAnExpiredTokenDoesNotEndASessionThatWasJustRefreshed(t *testing.T) {
	h, busy := newBusyHarness(t)
	first := h.signedIn().RefreshToken
	asleep := h.refresh(first).RefreshToken
	h.advance(5 * 24 * time.Hour)
	awake := h.refresh(first).RefreshToken
	h.advance(3 * 24 * time.Hour)

	var refreshed answer
	busy.beforeEnd = func() {
		busy.beforeEnd = nil
		refreshed = h.refresh(awake)
	}
	h.refresh(asleep).want(t, 409, "stale_refresh_token", "")
	refreshed.want(t, 200, "", "")
	h.refresh(refreshed.RefreshToken).want(t, 200, "", "")
}

// Reuse stays reuse, whatever happens to the session before the server ends it.
func TestReuseEndsASessionThatWasJustRefreshed(t *testing.T) {
	h, busy := newBusyHarness(t)
	stolen := h.signedIn().RefreshToken
	second := h.refresh(stolen).RefreshToken
	third := h.refresh(second).RefreshToken
	h.advance(time.Hour)
	busy.beforeEnd = func() {
		busy.beforeEnd = nil
		third = h.refresh(third).RefreshToken
	}
	h.refresh(stolen).want(t, 400, "invalid_grant", "reuse_detected")
	h.refresh(third).want(t, 400, "invalid_grant", "reuse_detected")
}

// A sign-in over the limit chooses the session that has been idle for longest. A session
// that its user refreshes at that moment is idle no longer.
func TestTheLimitEndsNoSessionThatWasJustRefreshed(t *testing.T) {
	h, busy := newBusyHarness(t, func(c *server.Config) { c.MaxSessions = 1 })
	token := h.signedIn().RefreshToken
	h.advance(time.Minute)
	busy.beforeEnd = func() {
		busy.beforeEnd = nil
		token = h.refresh(token).RefreshToken
	}
	h.signIn("alice", "wonderland").want(t, 200, "", "")
	h.wantKinds(server.EventSignedIn, server.EventRefreshed)
	h.refresh(token).want(t, 200, "", "")

	h.signIn("alice", "wonderland").want(t, 200, "", "") // the next one chooses anew
	h.refresh(token).want(t, 400, "invalid_grant", "revoked")
}
