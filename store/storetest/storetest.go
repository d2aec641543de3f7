// Package storetest is the test suite that every store of sessions must pass: Tandem's
// stores and yours.
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

// Run runs the suite. newPlace creates an empty place for sessions, such as a database,
// and returns a function; each call of that function opens another store on that place,
// and closes the store when the test ends.
func Run(t *testing.T, newPlace func(t testing.TB) (open func() server.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s server.Store, open func() server.Store)
	}{
		{"a session comes back as it was created", roundTrip},
		{"an ID is taken once", taken},
		{"a session that is not there", missing},
		{"confirm goes up", confirm},
		{"confirm stops when the session expires", confirmsAtTheEnd},
		{"of parallel confirms exactly one wins", parallelConfirms},
		{"parallel confirms only ever go up", climbingConfirms},
		{"no confirm follows an end", confirmsAgainstEnd},
		{"the first end stands", firstEnd},
		{"of parallel ends one stands", parallelEnds},
		{"an end decided on an older state changes nothing", endOfAnotherState},
		{"a confirm or an end, never both", endsAgainstConfirms},
		{"all sessions of a subject end, and no other", endSubject},
		{"list has the live ones of a subject, newest first", list},
		{"list comes in pages", pages},
		{"20,000 sessions of a subject end at once", endVeryMany},
		{"sweep removes what was over by then", sweep},
		{"sweep gets through a great many in the end", sweepMany},
		{"sweep removes what nobody uses any more", sweepIdle},
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

// epoch is a whole number of milliseconds, because stores keep times to the
// millisecond. It is the current time, because some engines expire sessions by their
// own clocks.
var epoch = time.UnixMilli(time.Now().UnixMilli())

// longAgo is so long that no store still has a session that was over that long ago.
const longAgo = 2 * 365 * 24 * time.Hour

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
		*at.got, *at.want = time.Time{}, time.Time{} // stores need not keep a time's location
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
	if _, err := s.Confirm(t.Context(), nobody.ID, rotation.Position{Generation: 1}, epoch); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Confirm: %v, want ErrNotFound", err)
	}
	if _, err := s.End(t.Context(), nobody.ID, store.End{Reason: rotation.SignedOut, At: epoch}); err != nil {
		t.Errorf("End: %v", err)
	}
	if n, err := s.EndSubject(t.Context(), "ann", rotation.SignedOut, epoch); n != 0 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	if sessions, err := s.List(t.Context(), "ann", store.Page{}); len(sessions) != 0 || err != nil {
		t.Errorf("List: %v, %v", sessions, err)
	}
	if n, err := s.Sweep(t.Context(), epoch, epoch); n != 0 || err != nil {
		t.Errorf("Sweep: %d, %v", n, err)
	}
}

// refused checks that the store does not confirm a token, and returns the session as it
// is.
func refused(t *testing.T, s server.Store, session store.Session, to rotation.Position, at time.Time) {
	t.Helper()
	got, err := s.Confirm(t.Context(), session.ID, to, at)
	if err != nil || got.Confirmed {
		t.Errorf("Confirm of %v: %+v, %v; want a refusal", to, got, err)
	}
	want(t, got.Session, session)
	want(t, get(t, s, session.ID), session)
}

// confirmed checks that the store confirms a token, and returns the session.
func confirmed(t *testing.T, s server.Store, session store.Session, to rotation.Position, at time.Time) store.Session {
	t.Helper()
	got, err := s.Confirm(t.Context(), session.ID, to, at)
	if err != nil || !got.Confirmed || got.Previous != session.Current.Generation {
		t.Fatalf("Confirm of %v: %+v, %v; want it confirmed, after generation %d", to, got, err, session.Current.Generation)
	}
	session.Current, session.ConfirmedAt = to, at
	want(t, got.Session, session)
	want(t, get(t, s, session.ID), session)
	return session
}

func confirm(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	other := create(t, s, newSession("ann"))
	at := func(minutes int) time.Time { return epoch.Add(time.Duration(minutes) * time.Minute) }

	refused(t, s, session, session.Current, at(1))
	refused(t, s, session, rotation.Position{Branch: 8}, at(1))
	session = confirmed(t, s, session, rotation.Position{Generation: 1, Branch: 1 << 63}, at(2))
	refused(t, s, session, session.Current, at(3))
	refused(t, s, session, rotation.Position{Generation: 1, Branch: 1}, at(3))
	refused(t, s, session, rotation.Position{Branch: 7}, at(3))
	// After a restore of an old state, the store catches up from the tokens that
	// clients present.
	session = confirmed(t, s, session, rotation.Position{Generation: 5, Branch: 2}, at(4))
	session = confirmed(t, s, session, rotation.Position{Generation: 1<<32 - 2}, at(5))
	session = confirmed(t, s, session, rotation.Position{Generation: 1<<32 - 1, Branch: 1<<64 - 1}, at(6))
	refused(t, s, session, rotation.Position{Generation: 1<<32 - 1}, at(7))
	want(t, get(t, s, other.ID), other)
}

func confirmsAtTheEnd(t *testing.T, s server.Store, _ func() server.Store) {
	session := newSession("ann")
	session.ExpiresAt = epoch.Add(time.Hour)
	create(t, s, session)
	refused(t, s, session, rotation.Position{Generation: 1}, session.ExpiresAt.Add(time.Hour))
	refused(t, s, session, rotation.Position{Generation: 1}, session.ExpiresAt)
	refused(t, s, session, rotation.Position{Generation: 9}, session.ExpiresAt)
	confirmed(t, s, session, rotation.Position{Generation: 1}, session.ExpiresAt.Add(-time.Millisecond))
}

func parallelConfirms(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	for generation := range uint32(2) {
		var wins atomic.Int64
		var winner atomic.Uint64
		inParallel(max(10_000/slowness, 2_000), func(i int) {
			to := rotation.Position{Generation: generation + 1, Branch: uint64(i)}
			got, err := s.Confirm(t.Context(), session.ID, to, epoch)
			if err != nil {
				t.Errorf("Confirm: %v", err)
			}
			if got.Session.Current.Generation != to.Generation {
				t.Errorf("after a call the session is at %v", got.Session.Current)
			}
			if got.Confirmed {
				wins.Add(1)
				winner.Store(to.Branch)
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d confirms won, want 1", wins.Load())
		}
		session.Current = rotation.Position{Generation: generation + 1, Branch: winner.Load()}
		want(t, get(t, s, session.ID), session)
	}
}

// climbingConfirms: when clients present tokens of several generations at once, the
// store confirms none twice, and the generation never goes down.
func climbingConfirms(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	const generations = 500
	var wins [generations + 1]atomic.Int64
	inParallel(4*generations, func(i int) {
		to := rotation.Position{Generation: uint32(i%generations) + 1, Branch: uint64(i)}
		got, err := s.Confirm(t.Context(), session.ID, to, epoch)
		switch {
		case err != nil:
			t.Errorf("Confirm: %v", err)
		case got.Confirmed && (got.Session.Current != to || got.Previous >= to.Generation):
			t.Errorf("%v was confirmed after %d: %+v", to, got.Previous, got.Session.Current)
		case got.Confirmed:
			wins[to.Generation].Add(1)
		case got.Session.Current.Generation < to.Generation:
			t.Errorf("%v was refused at %v", to, got.Session.Current)
		}
	})
	for generation := range wins {
		if n := wins[generation].Load(); n > 1 {
			t.Errorf("generation %d was confirmed %d times", generation, n)
		}
	}
	if at := get(t, s, session.ID).Current.Generation; at != generations {
		t.Errorf("the session ends up at generation %d, want %d", at, generations)
	}
}

func confirmsAgainstEnd(t *testing.T, s server.Store, _ func() server.Store) {
	for range 10 {
		session := create(t, s, newSession("ann"))
		var ended atomic.Bool
		inParallel(20, func(i int) {
			if i == 10 {
				if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: epoch}); err != nil {
					t.Errorf("End: %v", err)
				}
				ended.Store(true)
				return
			}
			to := get(t, s, session.ID).Successor(uint64(i))
			tooLate := ended.Load()
			got, err := s.Confirm(t.Context(), session.ID, to, epoch)
			if err != nil {
				t.Errorf("Confirm: %v", err)
			}
			if got.Confirmed && tooLate {
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
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.ReuseDetected, At: epoch}); err != nil {
		t.Fatalf("End: %v", err)
	}
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: epoch.Add(time.Hour)}); err != nil {
		t.Errorf("End again: %v", err)
	}
	if n, err := s.EndSubject(t.Context(), "ann", rotation.Revoked, epoch.Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("EndSubject: %d, %v", n, err)
	}
	session.EndedAt, session.EndReason = epoch, rotation.ReuseDetected
	want(t, get(t, s, session.ID), session)
	refused(t, s, session, rotation.Position{Generation: 1}, epoch)
	refused(t, s, session, rotation.Position{Generation: 9}, epoch)
}

func parallelEnds(t *testing.T, s server.Store, _ func() server.Store) {
	session := create(t, s, newSession("ann"))
	inParallel(50, func(i int) {
		if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.Revoked, At: epoch.Add(time.Duration(i) * time.Second)}); err != nil {
			t.Errorf("End: %v", err)
		}
	})
	first := get(t, s, session.ID)
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: epoch.Add(time.Hour)}); err != nil {
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
			session.ExpiresAt = session.CreatedAt // expired, but not ended
		}
		ids = append(ids, create(t, s, session).ID)
	}
	create(t, s, newSession("bob"))
	if _, err := s.End(t.Context(), ids[2], store.End{Reason: rotation.Revoked, At: epoch}); err != nil {
		t.Fatal(err)
	}
	sessions, err := s.List(t.Context(), "ann", store.Page{})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	var got []rotation.SessionID
	for _, session := range sessions {
		if session.ID != ids[4] { // stores may list it or not
			got = append(got, session.ID)
		}
	}
	if wanted := []rotation.SessionID{ids[3], ids[1], ids[0]}; !slices.Equal(got, wanted) {
		t.Errorf("got %v\nwant %v", got, wanted)
	}
	want(t, sessions[len(sessions)-1], get(t, s, ids[0]))
}

func durable(t *testing.T, s server.Store, open func() server.Store) {
	created := create(t, s, newSession("ann"))
	rotated := confirmed(t, s, create(t, s, newSession("ann")), rotation.Position{Generation: 1, Branch: 1}, epoch)
	ended := create(t, s, newSession("ann"))
	if _, err := s.End(t.Context(), ended.ID, store.End{Reason: rotation.SignedOut, At: epoch}); err != nil {
		t.Fatalf("End: %v", err)
	}
	ended.EndedAt, ended.EndReason = epoch, rotation.SignedOut

	again := open()
	for _, session := range []store.Session{created, rotated, ended} {
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
			_, err := s.Confirm(ctx, session.ID, rotation.Position{Generation: 1}, epoch)
			return err
		},
		"End": func() error {
			_, err := s.End(ctx, session.ID, store.End{Reason: rotation.SignedOut, At: epoch})
			return err
		},
		"EndSubject": func() error { _, err := s.EndSubject(ctx, "ann", rotation.SignedOut, epoch); return err },
		"List":       func() error { _, err := s.List(ctx, "ann", store.Page{}); return err },
		"Sweep":      func() error { _, err := s.Sweep(ctx, epoch, epoch); return err },
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
	for i, text := range []string{"张伟", "小明", "O'Brien; DROP TABLE sessions --", "a\u0001b", "\u202eright to left", "🚲🚲"} {
		session := newSession(fmt.Sprintf("%d%s", i, text))
		session.Device, session.Username = text, text
		want(t, get(t, s, create(t, s, session).ID), session)
		listed, err := s.List(t.Context(), session.Subject, store.Page{})
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
