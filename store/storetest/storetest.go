// Package storetest is the suite that every store of sessions must pass: those
// that come with Tandem, and yours.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) func() server.Store {
//			place := newEmptyDatabase(t)
//			return func() server.Store { return open(t, place) }
//		})
//	}
package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// Run runs the suite. newPlace makes an empty place for sessions. Each call of
// the function that it returns opens a store there, beside those that are open
// already, and has it closed when the test ends.
func Run(t *testing.T, newPlace func(t testing.TB) (open func() server.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s server.Store, open func() server.Store)
	}{
		{"a session comes back as it was created", roundTrip},
		{"an ID is taken once", taken},
		{"a session that is not there", missing},
		{"confirm compares and sets", confirm},
		{"of parallel confirms exactly one wins", parallelConfirms},
		{"no confirm follows an end", confirmsAgainstEnd},
		{"the first end stands", firstEnd},
		{"of parallel ends one stands", parallelEnds},
		{"all sessions of a subject end, and no other", endSubject},
		{"list has the live ones of a subject, newest first", list},
		{"sweep removes what was over by then", sweep},
		{"sweep gets through a great many in the end", sweepMany},
		{"another store on the same place sees all", durable},
		{"a cancelled context ends a call", cancelled},
		{"strings of all kinds are kept", strings},
	} {
		t.Run(test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open)
		})
	}
}

// epoch is a whole number of milliseconds: stores keep no more.
var epoch = time.UnixMilli(1_800_000_000_123)

func newSession(subject string) store.Session {
	var id rotation.SessionID
	_, _ = rand.Read(id[:])
	return store.Session{
		ID: id,
		State: rotation.State{
			Current:     rotation.Position{Branch: 7},
			ConfirmedAt: epoch,
			ExpiresAt:   epoch.Add(90 * 24 * time.Hour),
		},
		Subject:   subject,
		Username:  subject + "@example.com",
		Scope:     "read write",
		Device:    "a laptop",
		IP:        "192.0.2.7",
		CreatedAt: epoch,
	}
}

func create(t *testing.T, s server.Store, session store.Session) store.Session {
	t.Helper()
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatalf("Create: %v", err)
	}
	return session
}

func get(t *testing.T, s server.Store, id rotation.SessionID) store.Session {
	t.Helper()
	session, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	return session
}

func want(t *testing.T, got, want store.Session) {
	t.Helper()
	for _, at := range []struct {
		name      string
		got, want *time.Time
	}{
		{"ConfirmedAt", &got.ConfirmedAt, &want.ConfirmedAt},
		{"ExpiresAt", &got.ExpiresAt, &want.ExpiresAt},
		{"EndedAt", &got.EndedAt, &want.EndedAt},
		{"CreatedAt", &got.CreatedAt, &want.CreatedAt},
	} {
		if !at.got.Equal(*at.want) {
			t.Errorf("%s is %v, want %v", at.name, *at.got, *at.want)
		}
		*at.got, *at.want = time.Time{}, time.Time{} // a location is no part of a time
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func roundTrip(t *testing.T, s server.Store, _ func() server.Store) {
	live := newSession("ann")
	live.Current = rotation.Position{Generation: 1<<32 - 1, Branch: 1<<64 - 1}
	want(t, get(t, s, create(t, s, live).ID), live)

	ended := newSession("ann")
	ended.EndedAt, ended.EndReason = epoch.Add(time.Hour), rotation.Revoked
	want(t, get(t, s, create(t, s, ended).ID), ended)

	bare := newSession("bob")
	bare.Username, bare.Scope, bare.Device, bare.IP = "", "", "", ""
	want(t, get(t, s, create(t, s, bare).ID), bare)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v", err)
	}
}

func taken(t *testing.T, s server.Store, _ func() server.Store) {
	first := create(t, s, newSession("ann"))
	second := first
	second.Subject = "bob"
	if err := s.Create(t.Context(), second); !errors.Is(err, store.ErrExists) {
		t.Errorf("Create with an ID that is taken: %v, want ErrExists", err)
	}
	want(t, get(t, s, first.ID), first)
}

func missing(t *testing.T, s server.Store, _ func() server.Store) {
	nobody := newSession("ann")
	if _, err := s.Get(t.Context(), nobody.ID); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Get: %v, want ErrNotFound", err)
	}
	if ok, err := s.Confirm(t.Context(), nobody.ID, nobody.Current, rotation.Position{Generation: 1}, epoch); ok || err != nil {
		t.Errorf("Confirm: %v, %v", ok, err)
	}
	if err := s.End(t.Context(), nobody.ID, rotation.SignedOut, epoch); err != nil {
		t.Errorf("End: %v", err)
	}
	if n, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, epoch); n != 0 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	if sessions, err := s.List(t.Context(), "ann"); len(sessions) != 0 || err != nil {
		t.Errorf("List: %v, %v", sessions, err)
	}
	if n, err := s.Sweep(t.Context(), epoch); n != 0 || err != nil {
		t.Errorf("Sweep: %d, %v", n, err)
	}
}

func confirm(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	other := create(t, s, newSession("ann"))
	at := epoch.Add(time.Minute)
	next := rotation.Position{Generation: 3, Branch: 1 << 63}
	for _, c := range []struct {
		name string
		from rotation.Position
	}{
		{"another branch", rotation.Position{Branch: 8}},
		{"another generation", rotation.Position{Generation: 1, Branch: 7}},
	} {
		if ok, err := s.Confirm(t.Context(), session.ID, c.from, next, at); ok || err != nil {
			t.Errorf("from %s: %v, %v", c.name, ok, err)
		}
	}
	want(t, get(t, s, session.ID), session)

	if ok, err := s.Confirm(t.Context(), session.ID, session.Current, next, at); !ok || err != nil {
		t.Errorf("from the current one: %v, %v", ok, err)
	}
	if ok, err := s.Confirm(t.Context(), session.ID, session.Current, next, at); ok || err != nil {
		t.Errorf("the same again: %v, %v", ok, err)
	}
	session.Current, session.ConfirmedAt = next, at
	want(t, get(t, s, session.ID), session)
	want(t, get(t, s, other.ID), other)
}

func parallelConfirms(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	for round := range uint32(2) {
		var wins atomic.Int64
		var winner atomic.Uint64
		inParallel(5000, func(i int) {
			to := rotation.Position{Generation: round + 1, Branch: uint64(i)}
			ok, err := s.Confirm(t.Context(), session.ID, session.Current, to, epoch)
			if err != nil {
				t.Errorf("Confirm: %v", err)
			}
			if ok {
				wins.Add(1)
				winner.Store(to.Branch)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d confirms won, want 1", wins.Load())
		}
		session.Current = rotation.Position{Generation: round + 1, Branch: winner.Load()}
		want(t, get(t, s, session.ID), session)
	}
}

func confirmsAgainstEnd(t *testing.T, s server.Store, _ func() server.Store) {
	for range 10 {
		session := create(t, s, newSession("ann"))
		var ended atomic.Bool
		inParallel(20, func(i int) {
			if i == 10 {
				if err := s.End(t.Context(), session.ID, rotation.SignedOut, epoch); err != nil {
					t.Errorf("End: %v", err)
				}
				ended.Store(true)
				return
			}
			current := get(t, s, session.ID).Current
			tooLate := ended.Load()
			ok, err := s.Confirm(t.Context(), session.ID, current,
				rotation.Position{Generation: current.Generation + 1, Branch: uint64(i)}, epoch)
			if err != nil {
				t.Errorf("Confirm: %v", err)
			}
			if ok && tooLate {
				t.Error("a session was confirmed after its end had been answered")
			}
		})
		if end := get(t, s, session.ID); end.EndReason != rotation.SignedOut {
			t.Errorf("after the end: %+v", end)
		}
	}
}

func firstEnd(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	if err := s.End(t.Context(), session.ID, rotation.ReuseDetected, epoch); err != nil {
		t.Fatalf("End: %v", err)
	}
	if err := s.End(t.Context(), session.ID, rotation.SignedOut, epoch.Add(time.Hour)); err != nil {
		t.Errorf("End again: %v", err)
	}
	if n, err := s.EndSubject(t.Context(), "ann", rotation.Revoked, epoch.Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	session.EndedAt, session.EndReason = epoch, rotation.ReuseDetected
	want(t, get(t, s, session.ID), session)
	if ok, err := s.Confirm(t.Context(), session.ID, session.Current, rotation.Position{Generation: 1}, epoch); ok || err != nil {
		t.Errorf("Confirm after the end: %v, %v", ok, err)
	}
}

func parallelEnds(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	inParallel(50, func(i int) {
		if err := s.End(t.Context(), session.ID, rotation.Revoked, epoch.Add(time.Duration(i)*time.Second)); err != nil {
			t.Errorf("End: %v", err)
		}
	})
	first := get(t, s, session.ID)
	if err := s.End(t.Context(), session.ID, rotation.SignedOut, epoch.Add(time.Hour)); err != nil {
		t.Errorf("End: %v", err)
	}
	want(t, get(t, s, session.ID), first)
}

func endSubject(t *testing.T, s server.Store, _ func() server.Store) {
	var anns []store.Session
	for range 3 {
		anns = append(anns, create(t, s, newSession("ann")))
	}
	bob := create(t, s, newSession("bob"))
	if n, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, epoch); n != 3 || err != nil {
		t.Errorf("EndSubject: %d, %v; want 3", n, err)
	}
	for _, ann := range anns {
		ann.EndedAt, ann.EndReason = epoch, rotation.SignedOut
		want(t, get(t, s, ann.ID), ann)
	}
	want(t, get(t, s, bob.ID), bob)
}

func list(t *testing.T, s server.Store, _ func() server.Store) {
	var ids []rotation.SessionID
	for i := range 5 {
		session := newSession("ann")
		session.CreatedAt = epoch.Add(time.Duration(i) * time.Minute)
		if i == 4 {
			session.ExpiresAt = session.CreatedAt // over, but nothing has ended it
		}
		ids = append(ids, create(t, s, session).ID)
	}
	create(t, s, newSession("bob"))
	if err := s.End(t.Context(), ids[2], rotation.Revoked, epoch); err != nil {
		t.Fatal(err)
	}
	sessions, err := s.List(t.Context(), "ann")
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	var got []rotation.SessionID
	for _, session := range sessions {
		if session.ID != ids[4] { // may be among them, or not
			got = append(got, session.ID)
		}
	}
	if wanted := []rotation.SessionID{ids[3], ids[1], ids[0]}; !slices.Equal(got, wanted) {
		t.Errorf("got %v\nwant %v", got, wanted)
	}
	want(t, sessions[len(sessions)-1], get(t, s, ids[0]))
}

func sweep(t *testing.T, s server.Store, _ func() server.Store) {
	at := func(expires time.Duration, ended *time.Duration) store.Session {
		session := newSession("ann")
		session.CreatedAt, session.ExpiresAt = epoch.Add(-time.Hour), epoch.Add(expires)
		if ended != nil {
			session.EndedAt, session.EndReason = epoch.Add(*ended), rotation.SignedOut
		}
		return create(t, s, session)
	}
	before, after := -time.Second, time.Second
	live := at(time.Hour, nil)
	justEnded := at(time.Hour, &after)
	justExpired := at(after, nil)
	longEnded := at(time.Hour, &before)
	longExpired := at(before, nil)
	both := at(before, &before)

	sweepAll(t, s, epoch, 3)
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
	const n = 2500
	inParallel(n, func(int) {
		session := newSession("ann")
		session.ExpiresAt = epoch.Add(-time.Second)
		if err := s.Create(t.Context(), session); err != nil {
			t.Errorf("Create: %v", err)
		}
	})
	sweepAll(t, s, epoch, n)
}

// sweepAll sweeps until nothing is left to remove.
func sweepAll(t *testing.T, s server.Store, before time.Time, wanted int) {
	t.Helper()
	removed := 0
	for {
		n, err := s.Sweep(t.Context(), before)
		if err != nil {
			t.Fatalf("Sweep: %v", err)
		}
		if n == 0 {
			break
		}
		removed += n
	}
	if removed != wanted {
		t.Errorf("swept %d sessions, want %d", removed, wanted)
	}
}

func durable(t *testing.T, s server.Store, open func() server.Store) {
	created := create(t, s, newSession("ann"))
	confirmed := create(t, s, newSession("ann"))
	next := rotation.Position{Generation: 1, Branch: 1}
	if ok, err := s.Confirm(t.Context(), confirmed.ID, confirmed.Current, next, epoch); !ok || err != nil {
		t.Fatalf("Confirm: %v, %v", ok, err)
	}
	confirmed.Current = next
	ended := create(t, s, newSession("ann"))
	if err := s.End(t.Context(), ended.ID, rotation.SignedOut, epoch); err != nil {
		t.Fatalf("End: %v", err)
	}
	ended.EndedAt, ended.EndReason = epoch, rotation.SignedOut

	again := open()
	for _, session := range []store.Session{created, confirmed, ended} {
		want(t, get(t, again, session.ID), session)
	}
}

func cancelled(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Create": func() error { return s.Create(ctx, newSession("ann")) },
		"Get":    func() error { _, err := s.Get(ctx, session.ID); return err },
		"Confirm": func() error {
			_, err := s.Confirm(ctx, session.ID, session.Current, rotation.Position{Generation: 1}, epoch)
			return err
		},
		"End":        func() error { return s.End(ctx, session.ID, rotation.SignedOut, epoch) },
		"EndSubject": func() error { _, err := s.EndSubject(ctx, "ann", rotation.SignedOut, epoch); return err },
		"List":       func() error { _, err := s.List(ctx, "ann"); return err },
		"Sweep":      func() error { _, err := s.Sweep(ctx, epoch); return err },
		"Ping":       func() error { return s.Ping(ctx) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping after that: %v", err)
	}
}

func strings(t *testing.T, s server.Store, _ func() server.Store) {
	for i, text := range []string{"张伟", "O'Brien; DROP TABLE sessions --", "a\u0000b", "\u202eright to left", "🚲🚲"} {
		session := newSession(fmt.Sprintf("%d%s", i, text))
		session.Device, session.Username = text, text
		want(t, get(t, s, create(t, s, session).ID), session)
		listed, err := s.List(t.Context(), session.Subject)
		if err != nil || len(listed) != 1 {
			t.Errorf("List of %q: %d, %v", session.Subject, len(listed), err)
		}
	}
}

func inParallel(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
