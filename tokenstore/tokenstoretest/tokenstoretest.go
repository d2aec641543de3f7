// Package tokenstoretest is the test suite that every store of a client's pair must
// pass: Tandem's stores and yours.
//
//	func TestStore(t *testing.T) {
//		tokenstoretest.Run(t, func(t testing.TB) func() tandem.Store {
//			path := filepath.Join(t.TempDir(), "session.json")
//			return func() tandem.Store { return open(t, path) }
//		})
//	}
//
// A pair must come back whole. The suite compares every field of [tandem.Pair], also
// fields that a later version adds, and a failure names each field that was lost or
// changed. A store with one column per field therefore fails until it has a column for
// the new field.
package tokenstoretest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
)

// Run runs the suite. newPlace creates an empty place for a pair, such as a path, and
// returns a function; each call of that function opens another store on that place.
func Run(t *testing.T, newPlace func(t testing.TB) (open func() tandem.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, open func() tandem.Store)
	}{
		{"it is empty at first", empty},
		{"a pair comes back as it was kept", roundTrip},
		{"a pair is replaced only by who knows it", compare},
		{"a pair is forgotten", forget},
		{"of parallel swaps exactly one succeeds", parallelSwaps},
		{"every swap builds on the one before", chain},
		{"a lock keeps others out", locks},
		{"who waits for a lock can give up", givesUp},
		{"a cancelled context ends a call", cancelled},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newPlace(t)) })
	}
}

// pair returns the pair of revision n of a session, with all fields filled.
func pair(n int) tandem.Pair { return sibling(n, 0) }

// sibling returns one of several pairs of revision n, each with tokens of its own.
func sibling(n, i int) tandem.Pair {
	received := time.Now().Round(0).Truncate(time.Millisecond)
	return tandem.Pair{
		Issuer:           "https://auth.example.com/tenant-1",
		SessionID:        "0123456789abcdef",
		Username:         "张伟 \"ann\" 🚲",
		Revision:         uint64(n),
		AccessToken:      fmt.Sprintf("access-%d-%d.%s", n, i, strings.Repeat("x", 1500)),
		RefreshToken:     fmt.Sprintf("tandem_rt_%d_%d", n, i),
		ReceivedAt:       received,
		ExpiresAt:        received.Add(2 * time.Hour),
		RefreshExpiresAt: received.Add(30 * 24 * time.Hour),
	}
}

// want fails the test with the name of each field that did not come back.
func want(t *testing.T, s tandem.Store, want tandem.Pair) {
	t.Helper()
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	for _, name := range differing(got, want) {
		t.Errorf("%s is not what was kept: got %v, want %v", name,
			reflect.ValueOf(got).FieldByName(name), reflect.ValueOf(want).FieldByName(name))
	}
}

// differing returns the names of the fields that differ. Times are equal if they are
// the same instant; their locations do not matter.
func differing(got, want tandem.Pair) (names []string) {
	for field, value := range reflect.ValueOf(got).Fields() {
		a, b := value.Interface(), reflect.ValueOf(want).FieldByIndex(field.Index).Interface()
		at, isTime := a.(time.Time)
		if isTime && !at.Equal(b.(time.Time)) || !isTime && !reflect.DeepEqual(a, b) {
			names = append(names, field.Name)
		}
	}
	return names
}

func swap(t *testing.T, s tandem.Store, prev, next tandem.Pair, want bool) {
	t.Helper()
	if swapped, err := s.CompareAndSwap(t.Context(), prev, next); swapped != want || err != nil {
		t.Fatalf("CompareAndSwap: %v, %v; want %v", swapped, err, want)
	}
}

func empty(t *testing.T, open func() tandem.Store) {
	want(t, open(), tandem.Pair{})
	swap(t, open(), pair(1), pair(2), false)
	want(t, open(), tandem.Pair{})
	swap(t, open(), tandem.Pair{}, tandem.Pair{}, true)
}

func roundTrip(t *testing.T, open func() tandem.Store) {
	s, other, p := open(), open(), pair(3)
	for field, value := range reflect.ValueOf(p).Fields() {
		if value.IsZero() {
			t.Fatalf("the suite's own pair has no %s: fill it, or a store that loses it passes", field.Name)
		}
	}
	swap(t, s, tandem.Pair{}, p, true)
	for _, s := range []tandem.Store{s, other, open()} {
		want(t, s, p)
	}
}

func compare(t *testing.T, open func() tandem.Store) {
	s, other := open(), open()
	swap(t, s, tandem.Pair{}, pair(1), true)
	swap(t, other, tandem.Pair{}, pair(2), false)
	swap(t, other, pair(2), pair(3), false)
	winner := sibling(2, 1)
	swap(t, other, pair(1), winner, true)
	swap(t, s, pair(1), sibling(2, 2), false)
	want(t, s, winner)
}

func forget(t *testing.T, open func() tandem.Store) {
	s, other := open(), open()
	swap(t, s, tandem.Pair{}, pair(1), true)
	swap(t, other, pair(2), tandem.Pair{}, false)
	swap(t, other, pair(1), tandem.Pair{}, true)
	want(t, s, tandem.Pair{})
	swap(t, s, pair(1), pair(2), false)
	swap(t, s, tandem.Pair{}, pair(3), true)
}

func parallelSwaps(t *testing.T, open func() tandem.Store) {
	stores := []tandem.Store{open(), open(), open()}
	var prev tandem.Pair
	for n := 1; n <= 5; n++ {
		var wins, winner atomic.Int64
		inParallel(30, func(i int) {
			swapped, err := stores[i%len(stores)].CompareAndSwap(t.Context(), prev, sibling(n, i))
			if err != nil {
				t.Errorf("CompareAndSwap: %v", err)
			}
			if swapped {
				wins.Add(1)
				winner.Store(int64(i))
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d swaps succeeded, want 1", wins.Load())
		}
		prev = sibling(n, int(winner.Load()))
	}
}

// chain: no swap that succeeded is lost, although all writers replace each other's
// pairs as fast as they can.
func chain(t *testing.T, open func() tandem.Store) {
	const writers, each = 6, 10
	var done atomic.Int64
	inParallel(writers, func(i int) {
		s := open()
		for n := 0; n < each && t.Context().Err() == nil; {
			kept, err := s.Load(t.Context())
			if err != nil {
				t.Errorf("Load: %v", err)
				return
			}
			swapped, err := s.CompareAndSwap(t.Context(), kept, sibling(int(kept.Revision)+1, i))
			if err != nil {
				t.Errorf("CompareAndSwap: %v", err)
				return
			}
			if swapped {
				done.Add(1)
				n++
			}
		}
	})
	got, err := open().Load(t.Context())
	if err != nil || got.Revision != uint64(done.Load()) {
		t.Errorf("%d swaps succeeded and the last pair has revision %d, %v", done.Load(), got.Revision, err)
	}
}

func locks(t *testing.T, open func() tandem.Store) {
	var inside, most atomic.Int64
	inParallel(10, func(int) {
		locker, ok := open().(tandem.Locker)
		if !ok {
			return
		}
		unlock, err := locker.Lock(t.Context())
		if err != nil {
			t.Errorf("Lock: %v", err)
			return
		}
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		_, _ = open().Load(t.Context())
		inside.Add(-1)
		unlock()
	})
	if most.Load() > 1 {
		t.Errorf("%d had the lock at once", most.Load())
	}
}

func givesUp(t *testing.T, open func() tandem.Store) {
	holder, ok := open().(tandem.Locker)
	if !ok {
		t.Log("it has no lock, which is allowed")
		return
	}
	unlock, err := holder.Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := open().(tandem.Locker).Lock(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock of one that is taken: %v, want context.DeadlineExceeded", err)
	}
	// The lock does not keep others from reading and replacing the pair.
	swap(t, open(), tandem.Pair{}, pair(1), true)
	unlock()
	again, err := open().(tandem.Locker).Lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again()
}

func cancelled(t *testing.T, open func() tandem.Store) {
	s := open()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	calls := map[string]func() error{
		"Load":           func() error { _, err := s.Load(ctx); return err },
		"CompareAndSwap": func() error { _, err := s.CompareAndSwap(ctx, tandem.Pair{}, pair(1)); return err },
	}
	if locker, ok := s.(tandem.Locker); ok {
		calls["Lock"] = func() error { _, err := locker.Lock(ctx); return err }
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want context.Canceled", name, err)
		}
	}
	want(t, s, tandem.Pair{})
}

func inParallel(n int, do func(i int)) {
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { do(i) })
	}
	all.Wait()
}
