package server

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	// storeTimeout bounds each call of the store. If a store hangs, the server
	// answers 503, as it does if the store is down.
	storeTimeout = 5 * time.Second
	// directoryTimeout bounds how long a sign-in waits for the directory, which may
	// read the store and wait for its turn to hash a password.
	directoryTimeout = 2 * storeTimeout
	// sweepTimeout bounds a call of Sweep. It is longer because no request waits for
	// it.
	sweepTimeout = time.Minute
)

// boundedKeys bounds Reload, which reads the store.
type boundedKeys struct{ KeySource }

func (k boundedKeys) Reload(ctx context.Context) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return k.KeySource.Reload(ctx)
}

// A boundedStore bounds each call of a store, except Ping, which readiness bounds, and has
// the observer follow it.
type boundedStore struct {
	Store
	observe ObserveFunc
}

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout)
}

// observeStore calls do with a context for one call of the store.
func observeStore[T any](ctx context.Context, observe ObserveFunc, method string, timeout time.Duration, do func(context.Context) (T, error)) (_ T, err error) {
	ctx, done := observe.begin(ctx, Work{Kind: WorkStore, Name: method})
	defer func() { done(Result{Err: err}) }() // also if the store panics
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	return do(ctx)
}

func (s boundedStore) Create(ctx context.Context, session store.Session) error {
	_, err := observeStore(ctx, s.observe, "Create", storeTimeout, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Store.Create(ctx, session)
	})
	return err
}

func (s boundedStore) Get(ctx context.Context, id rotation.SessionID) (store.Session, error) {
	return observeStore(ctx, s.observe, "Get", storeTimeout, func(ctx context.Context) (store.Session, error) {
		return s.Store.Get(ctx, id)
	})
}

func (s boundedStore) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	return observeStore(ctx, s.observe, "Confirm", storeTimeout, func(ctx context.Context) (store.Confirmation, error) {
		return s.Store.Confirm(ctx, id, to, at)
	})
}

func (s boundedStore) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	return observeStore(ctx, s.observe, "End", storeTimeout, func(ctx context.Context) (bool, error) {
		return s.Store.End(ctx, id, end)
	})
}

func (s boundedStore) EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error) {
	return observeStore(ctx, s.observe, "EndSubject", storeTimeout, func(ctx context.Context) (int, error) {
		return s.Store.EndSubject(ctx, subject, reason, at)
	})
}

func (s boundedStore) List(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	return observeStore(ctx, s.observe, "List", storeTimeout, func(ctx context.Context) ([]store.Session, error) {
		return s.Store.List(ctx, subject, page)
	})
}

func (s boundedStore) Sweep(ctx context.Context, over, idle time.Time) (int, error) {
	return observeStore(ctx, s.observe, "Sweep", sweepTimeout, func(ctx context.Context) (int, error) {
		return s.Store.Sweep(ctx, over, idle)
	})
}

func (s boundedStore) Ping(ctx context.Context) error {
	_, err := observeStore(ctx, s.observe, "Ping", 0, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.Store.Ping(ctx)
	})
	return err
}

// A boundedOnce is a boundedStore for a OnceStore.
type boundedOnce struct {
	OnceStore
	observe ObserveFunc
}

func (s boundedOnce) PutOnce(ctx context.Context, key string, until time.Time) (bool, error) {
	return observeStore(ctx, s.observe, "PutOnce", storeTimeout, func(ctx context.Context) (bool, error) {
		return s.OnceStore.PutOnce(ctx, key, until)
	})
}

func (s boundedOnce) SweepOnce(ctx context.Context, before time.Time) (int, error) {
	return observeStore(ctx, s.observe, "SweepOnce", sweepTimeout, func(ctx context.Context) (int, error) {
		return s.OnceStore.SweepOnce(ctx, before)
	})
}
