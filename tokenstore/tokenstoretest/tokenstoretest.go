// Package tokenstoretest is the suite that every store of a client's pair must pass:
// those that come with Tandem, and yours.
//
//	func TestStore(t *testing.T) {
//		tokenstoretest.Run(t, func(t testing.TB) func() tandem.Store {
//			path := filepath.Join(t.TempDir(), "session.json")
//			return func() tandem.Store { return open(t, path) }
//		})
//	}
package tokenstoretest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
)

// Run runs the suite. newPlace makes an empty place for a pair. Each call of the
// function that it returns opens a store there, beside those that are open already.
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

func pair(n int) tandem.Pair {
	received := time.Now().Round(0).Truncate(time.Millisecond)
	return tandem.Pair{
		SessionID:    "0123456789abcdef",
		Username:     "张伟 \"ann\" 🚲",
		AccessToken:  fmt.Sprintf("access-%d.%s", n, strings.Repeat("x", 1500)),
		RefreshToken: fmt.Sprintf("tandem_rt_%d", n),
		ReceivedAt:   received,
		ExpiresAt:    received.Add(2 * time.Hour),
	}
}

func want(t *testing.T, s tandem.Store, want tandem.Pair) {
	t.Helper()
	got, err := s.Load(t.Context())
	if err != nil {
		t.Fatalf("Load: %v", err)
	}
	if !got.ReceivedAt.Equal(want.ReceivedAt) || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Errorf("received at %v until %v, want %v until %v", got.ReceivedAt, got.ExpiresAt, want.ReceivedAt, want.ExpiresAt)
	}
	got.ReceivedAt, got.ExpiresAt = want.ReceivedAt, want.ExpiresAt // a location is no part of a time
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
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
	s, other, p := open(), open(), pair(1)
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
	swap(t, other, pair(1), pair(4), true)
	swap(t, s, pair(1), pair(5), false)
	got, err := s.Load(t.Context())
	if err != nil || got.RefreshToken != pair(4).RefreshToken {
		t.Errorf("got %v, %v", got, err)
	}
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
	for round := range 5 {
		var wins, winner atomic.Int64
		inParallel(30, func(i int) {
			n := 100*(round+1) + i
			swapped, err := stores[i%len(stores)].CompareAndSwap(t.Context(), prev, pair(n))
			if err != nil {
				t.Errorf("CompareAndSwap: %v", err)
			}
			if swapped {
				wins.Add(1)
				winner.Store(int64(n))
			}
		})
		if wins.Load() != 1 {
			t.Fatalf("%d swaps succeeded, want 1", wins.Load())
		}
		prev = pair(int(winner.Load()))
	}
}

// chain: nobody's pair is lost, though all replace each other's as fast as they can.
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
			next := pair(1000*i + n)
			next.Username = kept.Username + "."
			swapped, err := s.CompareAndSwap(t.Context(), kept, next)
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
	if err != nil || len(got.Username) != int(done.Load()) {
		t.Errorf("%d swaps succeeded and %d can be seen, %v", done.Load(), len(got.Username), err)
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
	// What is kept can be read and replaced meanwhile.
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
