package server_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// ids returns the sessions of a list.
func (a answer) ids() []string {
	var ids []string
	for _, session := range a.Sessions {
		ids = append(ids, session.ID)
	}
	return ids
}

// A user has a hundred sessions. The next sign-in ends the one that was idle for
// longest, which is not the oldest one if that is in use.
func TestOneSessionTooMany(t *testing.T) {
	h := newHarness(t)
	var all []answer
	for range 100 {
		h.advance(time.Second)
		all = append(all, h.signedIn())
	}
	h.advance(time.Second)
	inUse := h.refresh(all[0].RefreshToken)
	inUse.want(t, 200, "", "")
	h.kinds()

	h.signIn("alice", "wonderland").want(t, 200, "", "")
	h.wantKinds(server.EventSignedIn, server.EventSessionEnded)
	h.refresh(all[1].RefreshToken).want(t, 400, "invalid_grant", "revoked")
	h.refresh(inUse.RefreshToken).want(t, 200, "", "")
	if list := h.call("GET", "/auth/sessions?limit=1000", inUse.AccessToken); len(list.Sessions) != 100 {
		t.Errorf("%d sessions, want 100", len(list.Sessions))
	}
}

func TestHowManySessionsAUserMayHave(t *testing.T) {
	for _, c := range []struct{ max, signIns, want int }{
		{max: 1, signIns: 3, want: 1},
		{max: 3, signIns: 5, want: 3},
		{max: -1, signIns: 110, want: 110},
		{max: 0, signIns: 110, want: 100},
	} {
		t.Run(fmt.Sprint(c.max), func(t *testing.T) {
			h := newHarness(t, func(cfg *server.Config) { cfg.MaxSessions = c.max })
			var last answer
			for range c.signIns {
				last = h.signedIn()
			}
			list := h.call("GET", "/auth/sessions?limit=1000", last.AccessToken)
			if len(list.Sessions) != c.want || !slices.Contains(list.ids(), last.SessionID) {
				t.Errorf("%d sessions, want %d, and the new one among them", len(list.Sessions), c.want)
			}
		})
	}
}

// An older database has more sessions per user: each sign-in ends some of them.
func TestFarTooManySessions(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.MaxSessions = -1 })
	for range 150 {
		h.signedIn()
	}
	h.cfg.MaxSessions = 10
	h.server = h.start(h.cfg)
	for _, want := range []int{151 - 64, 152 - 128, 10} {
		a := h.signedIn()
		if list := h.call("GET", "/auth/sessions?limit=1000", a.AccessToken); len(list.Sessions) != want {
			t.Errorf("%d sessions, want %d", len(list.Sessions), want)
		}
	}
}

func TestTheListComesInPages(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.MaxSessions = -1 })
	var want []string
	var last answer
	for range 120 {
		h.advance(time.Second)
		last = h.signedIn()
		want = append([]string{last.SessionID}, want...)
	}
	first := h.call("GET", "/auth/sessions", last.AccessToken)
	if !slices.Equal(first.ids(), want[:100]) || first.Next == "" {
		t.Errorf("the first page has %d, and next %q; want the newest 100 and more", len(first.Sessions), first.Next)
	}
	var got []string
	for path := "/auth/sessions?limit=50"; path != ""; {
		page := h.call("GET", path, last.AccessToken)
		page.want(t, 200, "", "")
		got = append(got, page.ids()...)
		path = ""
		if page.Next != "" {
			path = "/auth/sessions?limit=50&after=" + page.Next
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the pages have %d sessions, want %d, newest first", len(got), len(want))
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "after=x", "after=1-2", "after=-1-" + last.SessionID} {
		h.call("GET", "/auth/sessions?"+query, last.AccessToken).want(t, 400, "invalid_request", "")
	}
}

// The server does not list a session that no client can refresh any more. It lists one
// that was confirmed longer ago than a refresh token lives if a client has presented the
// current token again since, because the successor from that reply is still valid.
func TestDeadSessionsAreNotListed(t *testing.T) {
	h := newHarness(t)
	never, once, again := h.signedIn(), h.signedIn(), h.signedIn()
	once = h.refresh(once.RefreshToken)
	current := again.RefreshToken
	h.refresh(current).want(t, 200, "", "")
	h.advance(server.DefaultRefreshTTL - time.Hour)
	again = h.refresh(current)
	again.want(t, 200, "", "")
	watcher := h.signIn("alice", "wonderland")
	h.advance(2 * time.Hour)

	list := h.call("GET", "/auth/sessions", h.refresh(watcher.RefreshToken).AccessToken)
	if ids := list.ids(); slices.Contains(ids, never.SessionID) || !slices.Contains(ids, again.SessionID) || !slices.Contains(ids, watcher.SessionID) {
		t.Errorf("got %v; want %s and %s, and not %s", ids, again.SessionID, watcher.SessionID, never.SessionID)
	}
	h.refresh(again.RefreshToken).want(t, 200, "", "")

	h.advance(server.DefaultRefreshTTL)
	list = h.call("GET", "/auth/sessions", h.signIn("alice", "wonderland").AccessToken)
	if ids := list.ids(); slices.Contains(ids, once.SessionID) || len(ids) != 3 {
		t.Errorf("got %v; want three, and not %s", ids, once.SessionID)
	}
}

// A session that is dead for sure ends at its user's next sign-in, and is swept later.
func TestDeadSessionsAreNotKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHarness(t, func(c *server.Config) { c.Now = time.Now })
		dead := h.signedIn()
		<-time.After(4*(server.DefaultRefreshTTL+server.DefaultLeeway) + time.Second)
		h.signIn("alice", "wonderland").want(t, 200, "", "")
		h.wantKinds(server.EventSignedIn, server.EventSessionEnded)
		h.refresh(dead.RefreshToken).want(t, 400, "invalid_grant", "expired")
		<-time.After(server.DefaultRefreshTTL + 2*time.Hour)
		synctest.Wait()
		if err := h.find(dead); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it is still there: %v", err)
		}
	})
}

// A machine has started with its clock ahead. For an hour, sign-ins end no sessions that
// only look dead.
func TestAClockThatIsAheadEndsNoSessions(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.advance(60 * 24 * time.Hour)
	h.signIn("alice", "wonderland").want(t, 200, "", "")
	h.advance(-60 * 24 * time.Hour)
	h.refresh(a.RefreshToken).want(t, 200, "", "")
}

// slowStore fails to end all sessions of a subject in time, as long as it is slow.
type slowStore struct {
	server.Store
	slow atomic.Bool
}

func (s *slowStore) EndSubject(ctx context.Context, _ string, _ rotation.EndReason, _ time.Time) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

func (s *slowStore) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	if s.slow.Load() {
		return false, context.DeadlineExceeded
	}
	return s.Store.End(ctx, id, end)
}

// The server ends in the background the sessions that it could not end in time, but not a
// session that began later.
func TestSigningOutEverywhereGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{}
		slow.slow.Store(true)
		h := newHarness(t, func(c *server.Config) {
			slow.Store = c.Store
			c.Store, c.Now = slow, time.Now
		})
		a, other, bob := h.signedIn(), h.signedIn(), h.signIn("bob", "builder")
		h.call("DELETE", "/auth/sessions", a.AccessToken).want(t, 503, "temporarily_unavailable", "")
		later := h.signIn("alice", "wonderland")
		<-time.After(30 * time.Second)
		h.refresh(other.RefreshToken).want(t, 200, "", "")
		slow.slow.Store(false)
		<-time.After(10 * time.Second)
		for _, token := range []string{a.RefreshToken, other.RefreshToken} {
			h.refresh(token).want(t, 400, "invalid_grant", "signed_out")
		}
		for _, token := range []string{later.RefreshToken, bob.RefreshToken} {
			h.refresh(token).want(t, 200, "", "")
		}
	})
}

func TestItGivesUpInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := &slowStore{}
		slow.slow.Store(true)
		h := newHarness(t, func(c *server.Config) {
			slow.Store = c.Store
			c.Store, c.Now = slow, time.Now
		})
		a := h.signedIn()
		if err := h.server.EndSubject(t.Context(), "u-1"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("EndSubject: %v", err)
		}
		<-time.After(11 * time.Minute)
		slow.slow.Store(false)
		<-time.After(time.Minute)
		h.refresh(a.RefreshToken).want(t, 200, "", "")
	})
}

func TestEndSubject(t *testing.T) {
	h := newHarness(t)
	a, bob := h.signedIn(), h.signIn("bob", "builder")
	h.kinds()
	if err := h.server.EndSubject(t.Context(), "u-1"); err != nil {
		t.Fatal(err)
	}
	want := server.Event{Kind: server.EventSessionEnded, Subject: "u-1", Reason: rotation.Revoked, Time: h.now()}
	if !slices.Equal(h.events, []server.Event{want}) {
		t.Errorf("got %+v, want %+v", h.events, want)
	}
	h.refresh(a.RefreshToken).want(t, 400, "invalid_grant", "revoked")
	h.refresh(bob.RefreshToken).want(t, 200, "", "")
}
