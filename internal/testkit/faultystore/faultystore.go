// Package faultystore is a client's store whose faults a test decides: it can fail, hang,
// show old pairs, or save a pair and say that it has not. The pairs are kept by a real
// store underneath.
package faultystore

import (
	"context"
	"sync"

	"github.com/tandem-auth/tandem"
)

// Hooks are called around the calls of a [Store]. The ones that are nil do nothing. A
// hook may block: no lock is held while it runs.
//
// An error of a Before hook is the call's, and the store underneath is not asked. What an
// After hook returns is what the caller gets, whatever the store underneath has done.
type Hooks struct {
	BeforeLoad func(ctx context.Context) error
	AfterLoad  func(ctx context.Context, stored tandem.Pair, err error) (tandem.Pair, error)

	BeforeSwap func(ctx context.Context, prev, next tandem.Pair) error
	AfterSwap  func(ctx context.Context, prev, next tandem.Pair, swapped bool, err error) (bool, error)

	// The two for Lock are those of a [Locking] store.
	BeforeLock func(ctx context.Context) error
	AfterLock  func(ctx context.Context, unlock func(), err error) (func(), error)
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

// FailSwaps sets the hooks of a store that can be read and not written: each swap returns
// err and saves nothing.
func (s *Store) FailSwaps(err error) {
	s.Hook(Hooks{BeforeSwap: func(context.Context, tandem.Pair, tandem.Pair) error { return err }})
}

// SaveAndFail sets the hooks of a store whose next n swaps save the pair and return err: a
// reply that was lost, a folder that could not be synced, a deadline that came a moment
// too early.
func (s *Store) SaveAndFail(n int, err error) {
	var mu sync.Mutex
	s.Hook(Hooks{AfterSwap: func(_ context.Context, _, _ tandem.Pair, swapped bool, swapErr error) (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		if n--; n >= 0 {
			return false, err
		}
		return swapped, swapErr
	}})
}

// HangSwaps sets the hooks of a store whose swaps return when their context ends.
func (s *Store) HangSwaps() {
	s.Hook(Hooks{BeforeSwap: func(ctx context.Context, _, _ tandem.Pair) error {
		<-ctx.Done()
		return ctx.Err()
	}})
}

func (s *Store) current() Hooks {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks
}

// Load is the store's underneath, between its hooks.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	hooks := s.current()
	if hooks.BeforeLoad != nil {
		if err := hooks.BeforeLoad(ctx); err != nil {
			return tandem.Pair{}, err
		}
	}
	stored, err := s.under.Load(ctx)
	if hooks.AfterLoad != nil {
		return hooks.AfterLoad(ctx, stored, err)
	}
	return stored, err
}

// CompareAndSwap is the store's underneath, between its hooks.
func (s *Store) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	hooks := s.current()
	if hooks.BeforeSwap != nil {
		if err := hooks.BeforeSwap(ctx, prev, next); err != nil {
			return false, err
		}
	}
	swapped, err := s.under.CompareAndSwap(ctx, prev, next)
	if hooks.AfterSwap != nil {
		return hooks.AfterSwap(ctx, prev, next, swapped, err)
	}
	return swapped, err
}

// A Locking store is a [Store] with a lock.
type Locking struct {
	*Store
	lock tandem.Locker
}

// Locking returns the store with a lock, which is called between the hooks for it.
func (s *Store) Locking(lock tandem.Locker) Locking { return Locking{s, lock} }

// Lock is that of the lock underneath, between its hooks.
func (l Locking) Lock(ctx context.Context) (unlock func(), err error) {
	hooks := l.current()
	if hooks.BeforeLock != nil {
		if err := hooks.BeforeLock(ctx); err != nil {
			return nil, err
		}
	}
	unlock, err = l.lock.Lock(ctx)
	if hooks.AfterLock != nil {
		return hooks.AfterLock(ctx, unlock, err)
	}
	return unlock, err
}
