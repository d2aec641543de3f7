// Package faultystore is a client's store whose faults a test decides: it can fail, hang,
// show old pairs, or save a pair and say that it has not. The pairs are kept by a real
// store underneath.
package faultystore

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/tandem-auth/tandem"
)

// Hooks stand in for the calls of a [Store]: a hook does something before and after the
// call that it is given, changes what that returns, or leaves it out. The hooks that are
// nil change nothing. A hook may block: no lock is held while it runs.
type Hooks struct {
	Load func(ctx context.Context, load func() (tandem.Pair, error)) (tandem.Pair, error)
	Swap func(ctx context.Context, prev, next tandem.Pair, swap func() (bool, error)) (bool, error)
	Lock func(ctx context.Context, lock func() (func(), error)) (unlock func(), err error) // of a [Locking] store
}

// A Store passes its calls on to the store underneath, with hooks around them. It has no
// lock; see [Store.Locking].
type Store struct {
	under tandem.Store

	mu    sync.Mutex
	hooks Hooks
}

// New returns a store without faults over under.
func New(under tandem.Store) *Store { return &Store{under: under} }

// Hook sets all hooks. The zero Hooks make the store well again.
func (s *Store) Hook(hooks Hooks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = hooks
}

// Well takes all hooks away.
func (s *Store) Well() { s.Hook(Hooks{}) }

// FailSwaps sets the hook of a store that can be read and not written: each swap returns
// err and saves nothing.
func (s *Store) FailSwaps(err error) {
	s.Hook(Hooks{Swap: func(context.Context, tandem.Pair, tandem.Pair, func() (bool, error)) (bool, error) {
		return false, err
	}})
}

// SaveAndFail sets the hook of a store whose next n swaps save the pair and return err: a
// reply that was lost, a folder that could not be synced, a deadline that came a moment
// too early.
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

// HangSwaps sets the hook of a store whose swaps return when their context ends.
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

// Load is the hook's, or the store's underneath.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	load := func() (tandem.Pair, error) { return s.under.Load(ctx) }
	if hook := s.current().Load; hook != nil {
		return hook(ctx, load)
	}
	return load()
}

// CompareAndSwap is the hook's, or the store's underneath.
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

// Locking returns the store with a lock.
func (s *Store) Locking(under tandem.Locker) Locking { return Locking{s, under} }

// Lock is the hook's, or that of the lock underneath.
func (l Locking) Lock(ctx context.Context) (unlock func(), err error) {
	lock := func() (func(), error) { return l.under.Lock(ctx) }
	if hook := l.current().Lock; hook != nil {
		return hook(ctx, lock)
	}
	return lock()
}
