package tandem

import (
	"context"
	"sync"
)

// A Store is where a [Session] keeps its pair. Several sessions, in one process
// or in many, may share one: they then are one session, and what one of them
// refreshes the others use.
//
// All methods are safe for concurrent use. A cancelled context ends a call.
type Store interface {
	// Load returns the pair that is kept, whole, or the zero Pair if there is none.
	Load(ctx context.Context) (Pair, error)

	// CompareAndSwap keeps next instead of what is kept now, if that is still
	// prev, and reports whether it did. Two pairs are the same if their refresh
	// tokens are. The zero Pair stands for none, on either side. The swap is one
	// atomic step: a crash leaves prev or next, whole.
	CompareAndSwap(ctx context.Context, prev, next Pair) (bool, error)
}

// A Locker is a [Store] that can also keep others from refreshing at the same
// time. At a Tandem server a session works without: the protocol forgives two refreshes
// at once, and a lock only saves the second one. A server that takes each refresh token
// once does not forgive.
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

// Load returns the pair that is kept. The error is nil or the context's.
func (m *MemoryStore) Load(ctx context.Context) (Pair, error) {
	if err := ctx.Err(); err != nil {
		return Pair{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pair, nil
}

// CompareAndSwap keeps next if prev is kept now. The error is nil or the
// context's.
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
