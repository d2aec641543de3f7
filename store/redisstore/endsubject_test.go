package redisstore

import (
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

func createMany(t *testing.T, s *Store, n int) {
	t.Helper()
	now := time.Now()
	for i := range n {
		session := store.Session{
			ID:      rotation.SessionID{byte(i), byte(i >> 8)},
			State:   rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)},
			Subject: "ann", CreatedAt: now,
		}
		if err := s.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
}

// If ends have to wait for the disk, EndSubject waits once for all of a subject's
// sessions.
func TestManyEndsWaitForTheDiskOnce(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "everysec")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !s.waits {
		t.Skip("this server does not know WAITAOF")
	}
	createMany(t, s, 2000)
	waits := func() string { return info(t.Context(), s.client, "commandstats")["cmdstat_waitaof"] }
	before := waits()
	if n, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, time.Now()); n != 2000 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	if after := waits(); after == before || strings.HasPrefix(after, "calls=2000") {
		t.Errorf("WAITAOF before: %s, after: %s; want one more call", before, after)
	}
}

func TestEndTogether(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	createMany(t, s, 600)
	now := time.Now()
	listed, err := s.listed(t.Context(), "list", "ann")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := s.endTogether(t.Context(), listed, "ann", store.End{Reason: rotation.SignedOut, At: now}); n != 600 || err != nil {
		t.Errorf("%d ended, %v; want 600", n, err)
	}
	if n, err := s.endTogether(t.Context(), listed, "ann", store.End{Reason: rotation.Revoked, At: now}); n != 0 || err != nil {
		t.Errorf("once more: %d ended, %v; want none", n, err)
	}
	if n, err := s.endTogether(t.Context(), nil, "ann", store.End{Reason: rotation.Revoked, At: now}); n != 0 || err != nil {
		t.Errorf("of nobody: %d ended, %v", n, err)
	}
	if left, err := s.List(t.Context(), "ann", store.Page{}); len(left) != 0 || err != nil {
		t.Errorf("%d are left, %v", len(left), err)
	}
	if got, err := s.Get(t.Context(), rotation.SessionID{1}); err != nil || got.EndReason != rotation.SignedOut {
		t.Errorf("Get: %+v, %v", got, err)
	}
}

// If the store cannot wait for the disk, EndSubject returns an error each time, and the
// sessions stay in the subject's list.
func TestEndsTogetherThatMayBeUndone(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.waits {
		t.Skip("this server knows WAITAOF")
	}
	createMany(t, s, 10)
	s.waits = true
	for range 2 {
		if _, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, time.Now()); err == nil || !strings.Contains(strings.ToUpper(err.Error()), "WAITAOF") {
			t.Errorf("EndSubject: %v, want an error about WAITAOF", err)
		}
	}
	s.waits = false
	if n, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, time.Now()); n != 0 || err != nil {
		t.Errorf("EndSubject, once it can: %d, %v", n, err)
	}
	if listed, err := s.listed(t.Context(), "list", "ann"); len(listed) != 0 || err != nil {
		t.Errorf("%d are listed, %v", len(listed), err)
	}
}

// EndSubject returns an error if a server without some of the ends takes over.
func TestEndsThatWereLost(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
	s, err := Open(t.Context(), e.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	createMany(t, s, 2)
	id := rotation.SessionID{1}
	if err := s.checkEnded(t.Context(), "end", []string{id.String()}); err == nil || !strings.Contains(err.Error(), "lost") {
		t.Errorf("a session that lives: %v", err)
	}
	if _, err := s.End(t.Context(), id, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	gone := rotation.SessionID{9}
	if err := s.checkEnded(t.Context(), "end", []string{id.String(), gone.String()}); err != nil {
		t.Errorf("one that has ended and one that is not there: %v", err)
	}
}
