package storetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	stdstrings "strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/server"
)

// RunOnce runs the suite for a [server.OnceStore]. newPlace has the same contract as in
// [Run].
func RunOnce(t *testing.T, newPlace func(t testing.TB) (open func() server.OnceStore)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s server.OnceStore, open func() server.OnceStore)
	}{
		{"a key is fresh once", freshOnce},
		{"of parallel puts exactly one is fresh, in any process", parallelPuts},
		{"sweep keeps keys until their time", sweepOnce},
		{"a cancelled context ends a call", cancelledOnce},
	} {
		t.Run("once: "+test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open)
		})
	}
}

func put(t *testing.T, s server.OnceStore, key string, until time.Time, want bool) {
	t.Helper()
	if fresh, err := s.PutOnce(t.Context(), key, until); fresh != want || err != nil {
		t.Errorf("PutOnce of %.20q: %v, %v; want %v", key, fresh, err, want)
	}
}

func freshOnce(t *testing.T, s server.OnceStore, open func() server.OnceStore) {
	until := epoch.Add(time.Hour)
	long := stdstrings.Repeat("x", 254)
	keys := []string{"a", "A", "ticket:a", "ticket:A", "\u5c0f\u660e", "{a}", " ", "'; DROP TABLE once --", long + "1", long + "2"}
	for _, key := range keys {
		put(t, s, key, until, true)
	}
	again := open()
	for _, key := range keys {
		put(t, s, key, until, false)
		put(t, again, key, until.Add(time.Hour), false)
	}
}

func parallelPuts(t *testing.T, s server.OnceStore, open func() server.OnceStore) {
	stores := []server.OnceStore{s, open()}
	for range 20 {
		key := rand.Text()
		var fresh atomic.Int64
		inParallel(50, func(i int) {
			mine, err := stores[i%len(stores)].PutOnce(t.Context(), key, epoch.Add(time.Hour))
			if err != nil {
				t.Errorf("PutOnce: %v", err)
			}
			if mine {
				fresh.Add(1)
			}
		})
		if fresh.Load() != 1 {
			t.Errorf("%d puts were fresh, want 1", fresh.Load())
		}
	}
}

// A store that deletes keys by itself sweeps none.
func sweepOnce(t *testing.T, s server.OnceStore, _ func() server.OnceStore) {
	put(t, s, "kept", epoch.Add(time.Hour), true)
	const n = 2500
	inParallel(n, func(i int) {
		if fresh, err := s.PutOnce(t.Context(), fmt.Sprint("over ", i), epoch.Add(-longAgo)); !fresh || err != nil {
			t.Errorf("PutOnce: %v, %v", fresh, err)
		}
	})
	swept := 0
	for {
		some, err := s.SweepOnce(t.Context(), epoch)
		if err != nil {
			t.Fatalf("SweepOnce: %v", err)
		}
		if some == 0 {
			break
		}
		swept += some
	}
	put(t, s, "kept", epoch.Add(time.Hour), false)
	switch swept {
	case 0:
	case n:
		put(t, s, "over 7", epoch.Add(time.Hour), true)
	default:
		t.Errorf("swept %d keys, want %d, or none", swept, n)
	}
}

func cancelledOnce(t *testing.T, s server.OnceStore, _ func() server.OnceStore) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.PutOnce(ctx, "a", epoch.Add(time.Hour)); !errors.Is(err, context.Canceled) {
		t.Errorf("PutOnce: %v, want context.Canceled", err)
	}
	if _, err := s.SweepOnce(ctx, epoch); !errors.Is(err, context.Canceled) {
		t.Errorf("SweepOnce: %v, want context.Canceled", err)
	}
	put(t, s, "b", epoch.Add(time.Hour), true)
}
