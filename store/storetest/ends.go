package storetest

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// endIf ends a session if its current token is still the given one, and reports whether
// the session has ended.
func endIf(t *testing.T, s server.Store, id rotation.SessionID, current rotation.Position) bool {
	t.Helper()
	ended, err := s.End(t.Context(), id, store.End{Reason: rotation.Expired, At: epoch, If: &current})
	if err != nil {
		t.Fatalf("End: %v", err)
	}
	return ended
}

// endOfAnotherState: whoever decides to end a session because of its state ends it in that
// state alone.
func endOfAnotherState(t *testing.T, s server.Store, _ func() server.Store) {
	fresh := create(t, s, newSession("ann"))
	session := confirmed(t, s, fresh, rotation.Position{Generation: 1<<32 - 1, Branch: 1<<64 - 1}, epoch)
	other := create(t, s, newSession("ann"))
	for _, former := range []rotation.Position{
		fresh.Current,
		{Generation: session.Current.Generation, Branch: session.Current.Branch - 1},
		{Generation: session.Current.Generation - 1, Branch: session.Current.Branch},
	} {
		if endIf(t, s, session.ID, former) {
			t.Errorf("ended though %v is not the current token", former)
		}
	}
	want(t, get(t, s, session.ID), session)
	if listed, err := s.List(t.Context(), "ann", store.Page{}); err != nil || len(listed) != 2 {
		t.Errorf("List: %d, %v; want both", len(listed), err)
	}

	if !endIf(t, s, session.ID, session.Current) {
		t.Error("not ended though the token is the current one")
	}
	session.EndedAt, session.EndReason = epoch, rotation.Expired
	want(t, get(t, s, session.ID), session)
	want(t, get(t, s, other.ID), other)

	if !endIf(t, s, session.ID, fresh.Current) {
		t.Error("a session that has ended already counts as living")
	}
	if ended, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: epoch.Add(time.Hour)}); !ended || err != nil {
		t.Errorf("End without a condition: %v, %v", ended, err)
	}
	want(t, get(t, s, session.ID), session)
	if !endIf(t, s, newSession("ann").ID, fresh.Current) {
		t.Error("a session that is not there counts as living")
	}
}

// endsAgainstConfirms: a refresh and an end that was decided before it arrive together. If
// the refresh is confirmed, the session lives; if the session ends, the refresh is not.
func endsAgainstConfirms(t *testing.T, s server.Store, _ func() server.Store) {
	for range 20 {
		session := create(t, s, newSession("ann"))
		var refreshed, ended atomic.Bool
		inParallel(2, func(i int) {
			if i == 0 {
				ended.Store(endIf(t, s, session.ID, session.Current))
				return
			}
			got, err := s.Confirm(t.Context(), session.ID, session.Successor(1), epoch)
			if err != nil {
				t.Errorf("Confirm: %v", err)
			}
			refreshed.Store(got.Confirmed)
		})
		if lives := get(t, s, session.ID).EndedAt.IsZero(); refreshed.Load() == ended.Load() || lives == ended.Load() {
			t.Fatalf("refreshed: %v, ended: %v, lives: %v", refreshed.Load(), ended.Load(), lives)
		}
	}
}
