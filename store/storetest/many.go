package storetest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// pages: the pages together are the whole list, in order and without duplicates,
// although sessions began at the same moment and the last session of a page has ended.
func pages(t *testing.T, s server.Store, _ func() server.Store) {
	for i := range 25 {
		session := newSession("ann")
		session.CreatedAt = epoch.Add(time.Duration(i/4) * time.Second)
		create(t, s, session)
	}
	create(t, s, newSession("bob"))
	all, err := s.List(t.Context(), "ann", store.Page{})
	if err != nil || len(all) != 25 {
		t.Fatalf("List: %d, %v; want 25", len(all), err)
	}
	if !slices.IsSortedFunc(all, func(a, b store.Session) int {
		if order := b.CreatedAt.Compare(a.CreatedAt); order != 0 {
			return order
		}
		return slices.Compare(a.ID[:], b.ID[:])
	}) {
		t.Error("not newest first, and by ID where the times are the same")
	}
	for _, limit := range []int{1, 7, 25, 100} {
		var got []store.Session
		page := store.Page{Limit: limit}
		for {
			part, err := s.List(t.Context(), "ann", page)
			if err != nil || len(part) > limit {
				t.Fatalf("a page of %d: %d, %v", limit, len(part), err)
			}
			got = append(got, part...)
			if len(part) < limit {
				break
			}
			page.After = part[len(part)-1].Place()
		}
		if !slices.EqualFunc(got, all, func(a, b store.Session) bool { return a.ID == b.ID }) {
			t.Errorf("pages of %d have %d sessions, want the %d of the list in their order", limit, len(got), len(all))
		}
	}
	gone := all[9]
	if _, err := s.End(t.Context(), gone.ID, store.End{Reason: rotation.Revoked, At: epoch}); err != nil {
		t.Fatal(err)
	}
	part, err := s.List(t.Context(), "ann", store.Page{After: gone.Place(), Limit: 3})
	if err != nil || len(part) != 3 || part[0].ID != all[10].ID {
		t.Errorf("after a session that has ended: %d, %v; want the three that follow it", len(part), err)
	}
}

// endVeryMany: EndSubject ends 20,000 sessions within the 5 seconds that a server
// allows a call; if it takes longer, the next call ends the rest.
func endVeryMany(t *testing.T, s server.Store, _ func() server.Store) {
	n := 20_000
	if testing.Short() {
		n = 1000
	}
	const creators = 64
	inParallel(creators, func(i int) {
		for range n / creators {
			if err := s.Create(t.Context(), newSession("ann")); err != nil {
				t.Errorf("Create: %v", err)
			}
		}
	})
	bob := create(t, s, newSession("bob"))
	began := time.Now()
	for ended := 0; ; {
		ctx, cancel := context.WithTimeout(t.Context(), slowness*5*time.Second)
		some, err := s.EndSubject(ctx, "ann", rotation.SignedOut, epoch)
		cancel()
		if ended += some; err == nil {
			t.Logf("%d ended in %v", ended, time.Since(began))
			break
		}
		if some == 0 || time.Since(began) > slowness*time.Minute {
			t.Fatalf("EndSubject: %v, after %d", err, ended)
		}
	}
	if left, err := s.List(t.Context(), "ann", store.Page{}); err != nil || len(left) != 0 {
		t.Errorf("%d are left, %v", len(left), err)
	}
	want(t, get(t, s, bob.ID), bob)
}
