package redisstore

import (
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A session that is refreshed, or ends, between the look of a sweep and its removal stays.
// One that is removed leaves its subject's list, too.
func TestASweepLooksAgainBeforeItRemoves(t *testing.T) {
	s, err := Open(t.Context(), enginetest.Redis(t).URL()+"?prefix="+`odd*[a]?\:`)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	idle := time.Now().Add(-28 * 24 * time.Hour)
	create := func(n byte) store.Session {
		session := store.Session{
			ID: rotation.SessionID{n}, Subject: "ann", CreatedAt: idle.Add(-time.Hour),
			State: rotation.State{ConfirmedAt: idle.Add(-time.Hour), ExpiresAt: time.Now().Add(time.Hour)},
		}
		if err := s.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
		return session
	}
	unused, refreshed, ended := create(1), create(2), create(3)
	if _, err := s.Confirm(t.Context(), refreshed.ID, refreshed.Successor(1), time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), ended.ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, session := range []store.Session{refreshed, ended} {
		if subject, err := s.removeIfIdle(t.Context(), s.sessionKey(session.ID.String()), idle); subject != "" || err != nil {
			t.Errorf("removed that of %q, %v", subject, err)
		}
		if _, err := s.Get(t.Context(), session.ID); err != nil {
			t.Error(err)
		}
	}
	if n, err := s.Sweep(t.Context(), time.Time{}, idle); n != 1 || err != nil {
		t.Errorf("swept %d, %v; want the one that nobody uses", n, err)
	}
	listed, err := s.listed(t.Context(), "list", "ann")
	if err != nil || len(listed) != 1 || listed[0].Member != refreshed.ID.String() {
		t.Errorf("the list has %v, %v; %v was removed", listed, err, unused.ID)
	}
}
