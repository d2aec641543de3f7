package storetest

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/keys"
)

// RunKeys runs the suite for a [keys.Store]. newPlace has the same contract as in
// [Run].
func RunKeys(t *testing.T, newPlace func(t testing.TB) (open func() keys.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s keys.Store, open func() keys.Store)
	}{
		{"there is no document at first", noKeys},
		{"a document is replaced", replaceKeys},
		{"of parallel saves exactly one wins", parallelSaves},
	} {
		t.Run("keys: "+test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open)
		})
	}
}

func wantKeys(t *testing.T, s keys.Store, document []byte, version int64) {
	t.Helper()
	got, at, err := s.LoadKeys(t.Context())
	if err != nil || !bytes.Equal(got, document) || at != version {
		t.Errorf("LoadKeys: %q, %d, %v; want %q, %d", got, at, err, document, version)
	}
}

func saveKeys(t *testing.T, s keys.Store, document []byte, from int64, want bool) {
	t.Helper()
	if saved, err := s.SaveKeys(t.Context(), document, from); saved != want || err != nil {
		t.Errorf("SaveKeys from %d: %v, %v; want %v", from, saved, err, want)
	}
}

func noKeys(t *testing.T, s keys.Store, _ func() keys.Store) {
	wantKeys(t, s, nil, 0)
	saveKeys(t, s, []byte("a"), 1, false)
	wantKeys(t, s, nil, 0)
}

func replaceKeys(t *testing.T, s keys.Store, open func() keys.Store) {
	saveKeys(t, s, []byte("a"), 0, true)
	wantKeys(t, s, []byte("a"), 1)
	saveKeys(t, s, []byte("b"), 0, false)
	saveKeys(t, s, []byte("b"), 2, false)
	wantKeys(t, s, []byte("a"), 1)
	long := bytes.Repeat([]byte{0, 0xff, '"'}, 20_000)
	saveKeys(t, s, long, 1, true)
	wantKeys(t, open(), long, 2)
}

func parallelSaves(t *testing.T, s keys.Store, _ func() keys.Store) {
	for from := range int64(3) {
		var wins atomic.Int64
		inParallel(50, func(i int) {
			saved, err := s.SaveKeys(t.Context(), fmt.Appendf(nil, "%d of %d", i, from), from)
			if err != nil {
				t.Errorf("SaveKeys: %v", err)
			}
			if saved {
				wins.Add(1)
			}
		})
		if wins.Load() != 1 {
			t.Errorf("%d saves won, want 1", wins.Load())
		}
	}
}

// RunClients runs the suite for a [clients.Store], which is that of [RunKeys].
func RunClients(t *testing.T, newPlace func(t testing.TB) (open func() clients.Store)) {
	RunKeys(t, func(t testing.TB) func() keys.Store {
		open := newPlace(t)
		return func() keys.Store { return clientsAsKeys{open()} }
	})
}

type clientsAsKeys struct{ store clients.Store }

func (c clientsAsKeys) LoadKeys(ctx context.Context) ([]byte, int64, error) {
	return c.store.LoadClients(ctx)
}

func (c clientsAsKeys) SaveKeys(ctx context.Context, document []byte, from int64) (bool, error) {
	return c.store.SaveClients(ctx, document, from)
}
