// Package faultystore is a client's store whose faults the test chooses: it can fail,
// hang, return old pairs, or save a pair and report that it failed. A real store
// underneath keeps the pairs.
package faultystore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/tandem-auth/tandem"
)

// Hooks replace the calls of a [Store]. A hook gets the real call as a function: it may
// call it, act before and after, and change its result. A hook that is nil changes
// nothing. A hook may block: the store holds no lock while the hook runs.
type Hooks struct {
	Load func(ctx context.Context, load func() (tandem.Pair, error)) (tandem.Pair, error)
	Swap func(ctx context.Context, prev, next tandem.Pair, swap func() (bool, error)) (bool, error)
	Lock func(ctx context.Context, lock func() (func(), error)) (unlock func(), err error) // only called by a [Locking] store
}

// A Store passes its calls to the store underneath, through its hooks. It has no lock;
// see [Store.Locking].
type Store struct {
	under tandem.Store

	mu    sync.Mutex
	hooks Hooks
}

// New returns a store without faults over under.
func New(under tandem.Store) *Store { return &Store{under: under} }

// Hook sets all hooks. The zero Hooks remove every fault.
func (s *Store) Hook(hooks Hooks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = hooks
}

// Well removes every fault.
func (s *Store) Well() { s.Hook(Hooks{}) }

// FailSwaps makes the store readable but not writable: each swap returns err and saves
// nothing.
func (s *Store) FailSwaps(err error) {
	s.Hook(Hooks{Swap: func(context.Context, tandem.Pair, tandem.Pair, func() (bool, error)) (bool, error) {
		return false, err
	}})
}

// SaveAndFail makes the next n swaps save the pair and return err, like a lost reply, a
// folder that could not be synced, or a deadline that came a moment too early.
func (s *Store) SaveAndFail(n int, err error) {
	var left atomic.Int64
	left.Store(int64(n))
	s.Hook(Hooks{Swap: func(_ context.Context, _, _ tandem.Pair, swap func() (bool, error)) (bool, error) {
		swapped, swapErr := swap()
		if left.Add(-1) >= 0 {
			return false, err
		}
		return swapped, swapErr
	}})
}

// HangSwaps makes swaps block until their context ends.
func (s *Store) HangSwaps() {
	s.Hook(Hooks{Swap: func(ctx context.Context, _, _ tandem.Pair, _ func() (bool, error)) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}})
}

func (s *Store) current() Hooks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks
}

// Load calls the hook, or else the store underneath.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	load := func() (tandem.Pair, error) { return s.under.Load(ctx) }
	if hook := s.current().Load; hook != nil {
		return hook(ctx, load)
	}
	return load()
}

// CompareAndSwap calls the hook, or else the store underneath.
func (s *Store) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	swap := func() (bool, error) { return s.under.CompareAndSwap(ctx, prev, next) }
	if hook := s.current().Swap; hook != nil {
		return hook(ctx, prev, next, swap)
	}
	return swap()
}

// A Locking store is a [Store] with a lock.
type Locking struct {
	*Store
	under tandem.Locker
}

// Locking returns the store with the lock of under.
func (s *Store) Locking(under tandem.Locker) Locking { return Locking{s, under} }

// Lock calls the hook, or else the lock underneath.
func (l Locking) Lock(ctx context.Context) (unlock func(), err error) {
	lock := func() (func(), error) { return l.under.Lock(ctx) }
	if hook := l.current().Lock; hook != nil {
		return hook(ctx, lock)
	}
	return lock()
}
