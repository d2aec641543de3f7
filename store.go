package tandem

import (
	"context"
	"sync"
)

// A Store keeps a [Session]'s pair. Several sessions, in one process or in many, may share
// a store: they then act as one session, and each uses the pairs that the others have
// fetched.
//
// All methods are safe for concurrent use. A cancelled context ends a call.
type Store interface {
	// Load returns the whole stored pair, or the zero Pair if the store is empty.
	Load(ctx context.Context) (Pair, error)

	// CompareAndSwap replaces the stored pair with next if the stored pair is still prev,
	// and reports whether it did. Two pairs are the same if their refresh tokens are. The
	// zero Pair, as prev or next, stands for an empty store. The swap is atomic: after a
	// crash the store has all of prev or all of next.
	CompareAndSwap(ctx context.Context, prev, next Pair) (bool, error)
}

// A Locker is a [Store] that can also keep other processes from refreshing at the same
// time. At a Tandem server a session does not need a lock: the protocol forgives two
// refreshes at once, and a lock only saves the second one. A server that takes each
// refresh token once does not forgive.
type Locker interface {
	// Lock waits until it has the lock or ctx ends. The caller releases the lock by calling
	// unlock, once; the end of the process releases it, too.
	Lock(ctx context.Context) (unlock func(), err error)
}

// A MemoryStore keeps a pair for as long as the process runs. It is a [Locker].
type MemoryStore struct {
	mu   sync.Mutex
	pair Pair
	lock chan struct{}
}

// NewMemoryStore returns an empty store.
func NewMemoryStore() *MemoryStore {
	return &MemoryStore{lock: make(chan struct{}, 1)}
}

// Load returns the stored pair. The error is nil or the context's.
func (m *MemoryStore) Load(ctx context.Context) (Pair, error) {
	if err := ctx.Err(); err != nil {
		return Pair{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pair, nil
}

// CompareAndSwap replaces prev with next. The error is nil or the context's.
func (m *MemoryStore) CompareAndSwap(ctx context.Context, prev, next Pair) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pair.RefreshToken != prev.RefreshToken {
		return false, nil
	}
	m.pair = next
	return true, nil
}

// Lock waits for the lock. The error is nil or the context's.
func (m *MemoryStore) Lock(ctx context.Context) (unlock func(), err error) {
	select {
	case m.lock <- struct{}{}:
		return sync.OnceFunc(func() { <-m.lock }), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
