package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// A caller gives Sweep a time; an engine that removes sessions by itself uses its own
// clock. Both must remove what was over long ago, and keep what was not.
func sweep(t *testing.T, s server.Store, _ func() server.Store) {
	before := epoch.Add(-longAgo)
	at := func(expires time.Time, ended ...time.Time) store.Session {
		session := newSession("ann")
		session.CreatedAt, session.ExpiresAt = before.Add(-time.Hour), expires
		if len(ended) > 0 {
			session.EndedAt, session.EndReason = ended[0], rotation.SignedOut
		}
		return create(t, s, session)
	}
	live := at(epoch.Add(time.Hour))
	justEnded := at(epoch.Add(time.Hour), epoch)
	justExpired := at(epoch)
	longEnded := at(epoch.Add(time.Hour), before.Add(-time.Second))
	longExpired := at(before.Add(-time.Second))
	both := at(before.Add(-time.Second), before.Add(-time.Second))

	if removed := sweepAll(t, s, before); removed > 3 {
		t.Errorf("swept %d sessions, want 3 at most", removed)
	}
	for _, kept := range []store.Session{live, justEnded, justExpired} {
		want(t, get(t, s, kept.ID), kept)
	}
	for _, gone := range []store.Session{longEnded, longExpired, both} {
		if _, err := s.Get(t.Context(), gone.ID); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Get of a swept session: %v, want ErrNotFound", err)
		}
	}
}

func sweepMany(t *testing.T, s server.Store, _ func() server.Store) {
	before := epoch.Add(-longAgo)
	var ids [2500]rotation.SessionID
	inParallel(len(ids), func(i int) {
		session := newSession("ann")
		session.ExpiresAt = before.Add(-time.Second)
		if err := s.Create(t.Context(), session); err != nil {
			t.Errorf("Create: %v", err)
		}
		ids[i] = session.ID
	})
	if removed := sweepAll(t, s, before); removed > len(ids) {
		t.Errorf("swept %d sessions of %d", removed, len(ids))
	}
	for _, id := range &ids {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Get of a swept session: %v, want ErrNotFound", err)
		}
	}
	if sessions, err := s.List(t.Context(), "ann", store.Page{}); len(sessions) != 0 || err != nil {
		t.Errorf("List: %d, %v", len(sessions), err)
	}
}

// sweepAll calls Sweep until it removes nothing more.
func sweepAll(t *testing.T, s server.Store, before time.Time) (removed int) {
	t.Helper()
	for {
		n, err := s.Sweep(t.Context(), before, before)
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		if n == 0 {
			return removed
		}
		removed += n
	}
}

// sweepIdle: a session that nobody has refreshed since idle is gone, however long it would
// last, and one that began before then and is in use stays. A session that has ended stays
// until it was over long enough.
func sweepIdle(t *testing.T, s server.Store, _ func() server.Store) {
	idle := epoch.Add(-28 * 24 * time.Hour)
	confirmedAt := func(at time.Time) store.Session {
		session := newSession("ann")
		session.CreatedAt, session.ConfirmedAt = idle.Add(-7*24*time.Hour), at
		return session
	}
	inUse := create(t, s, confirmedAt(idle))
	refreshed := confirmed(t, s, create(t, s, confirmedAt(idle.Add(-time.Hour))), rotation.Position{Generation: 1}, epoch)
	justEnded := confirmedAt(idle.Add(-time.Hour))
	justEnded.EndedAt, justEnded.EndReason = epoch, rotation.Expired
	create(t, s, justEnded)
	var unused [2500]store.Session
	inParallel(len(unused), func(i int) {
		unused[i] = confirmedAt(idle.Add(-time.Millisecond))
		if err := s.Create(t.Context(), unused[i]); err != nil {
			t.Errorf("Create: %v", err)
		}
	})

	removed := 0
	for {
		n, err := s.Sweep(t.Context(), epoch.Add(-longAgo), idle)
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		if n == 0 {
			break
		}
		removed += n
	}
	if removed != len(unused) {
		t.Errorf("swept %d sessions, want the %d that nobody uses", removed, len(unused))
	}
	for _, kept := range []store.Session{inUse, refreshed, justEnded} {
		want(t, get(t, s, kept.ID), kept)
	}
	for i := range unused {
		if _, err := s.Get(t.Context(), unused[i].ID); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("Get of a swept session: %v, want ErrNotFound", err)
		}
	}
	if listed, err := s.List(t.Context(), "ann", store.Page{}); err != nil || len(listed) != 2 {
		t.Errorf("List: %d, %v; want the two that live", len(listed), err)
	}
	// A walk begins anew when it has come to the end.
	late := create(t, s, confirmedAt(idle.Add(-time.Hour)))
	for range 3 {
		if _, err := s.Sweep(t.Context(), epoch.Add(-longAgo), idle); err != nil {
			t.Fatalf("Sweep: %v", err)
		}
	}
	if _, err := s.Get(t.Context(), late.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after another walk: %v, want ErrNotFound", err)
	}
}
