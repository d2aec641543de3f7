package storetest

import (
	"slices"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// An endedStore is what [RunEnded] tests.
type endedStore interface {
	server.Store
	server.EndedStore
}

// RunEnded runs the suite for a [server.EndedStore]. newPlace has the same contract as in
// [Run].
func RunEnded[S endedStore](t *testing.T, newPlace func(t testing.TB) (open func() S)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s, other endedStore)
	}{
		{"what has ended is listed, and nothing else", listEnded},
		{"all sessions of a subject that ended at once are listed", listEndedSubject},
		{"what was swept is listed no more", sweepEnded},
	} {
		t.Run("ended: "+test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open())
		})
	}
}

// wantEnded compares the numbers of the sessions that ended since a time.
func wantEnded(t *testing.T, s endedStore, since time.Time, want ...byte) {
	t.Helper()
	sessions, err := s.Ended(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	got := []byte{}
	for _, session := range sessions {
		got = append(got, session.ID[0])
		if session.EndReason == "" || session.EndedAt.IsZero() || session.Subject == "" {
			t.Errorf("a session is listed as %+v", session)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("ended since %v: %v, want %v", since, got, want)
	}
}

func createNumbered(t *testing.T, s endedStore, subject string, numbers ...byte) {
	t.Helper()
	for _, n := range numbers {
		session := newSession(subject)
		session.ID = rotation.SessionID{n}
		if err := s.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
}

func listEnded(t *testing.T, s, other endedStore) {
	createNumbered(t, s, "ann", 1, 2, 3, 4)
	wantEnded(t, s, epoch)
	for n, after := range map[byte]time.Duration{1: 0, 2: time.Second, 3: 2 * time.Second} {
		if _, err := s.End(t.Context(), rotation.SessionID{n}, store.End{Reason: rotation.SignedOut, At: epoch.Add(after)}); err != nil {
			t.Fatal(err)
		}
	}
	// An end that turns out not to be one, one of a session that is not there, and a second one.
	stale := rotation.Position{Generation: 7}
	for id, end := range map[byte]store.End{
		4: {Reason: rotation.Expired, At: epoch.Add(time.Second), If: &stale},
		9: {Reason: rotation.SignedOut, At: epoch.Add(time.Second)},
		1: {Reason: rotation.Revoked, At: epoch.Add(time.Second)},
	} {
		if _, err := s.End(t.Context(), rotation.SessionID{id}, end); err != nil {
			t.Fatal(err)
		}
	}
	wantEnded(t, other, epoch, 1, 2, 3)
	wantEnded(t, other, epoch.Add(time.Second), 2, 3)
	wantEnded(t, other, epoch.Add(3*time.Second))
}

func listEndedSubject(t *testing.T, s, other endedStore) {
	createNumbered(t, s, "ann", 1, 2, 3)
	createNumbered(t, s, "bob", 4)
	if _, err := s.EndSubject(t.Context(), "ann", rotation.Revoked, epoch.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, other, epoch, 1, 2, 3)
}

func sweepEnded(t *testing.T, s, _ endedStore) {
	createNumbered(t, s, "ann", 1)
	if _, err := s.End(t.Context(), rotation.SessionID{1}, store.End{Reason: rotation.SignedOut, At: epoch}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sweep(t.Context(), epoch.Add(time.Second), epoch.Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	wantEnded(t, s, epoch.Add(-time.Second))
}
