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

// A boundedStore bounds each call of a store, except Ping, which readiness bounds.
type boundedStore struct{ Store }

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, storeTimeout)
}

func (s boundedStore) Create(ctx context.Context, session store.Session) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.Create(ctx, session)
}

func (s boundedStore) Get(ctx context.Context, id rotation.SessionID) (store.Session, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.Get(ctx, id)
}

func (s boundedStore) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.Confirm(ctx, id, to, at)
}

func (s boundedStore) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.End(ctx, id, end)
}

func (s boundedStore) EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.EndSubject(ctx, subject, reason, at)
}

func (s boundedStore) List(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.List(ctx, subject, page)
}

func (s boundedStore) Sweep(ctx context.Context, over, idle time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	return s.Store.Sweep(ctx, over, idle)
}

// A boundedOnce bounds each call of a OnceStore.
type boundedOnce struct{ OnceStore }

func (s boundedOnce) PutOnce(ctx context.Context, key string, until time.Time) (bool, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.OnceStore.PutOnce(ctx, key, until)
}

func (s boundedOnce) SweepOnce(ctx context.Context, before time.Time) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	return s.OnceStore.SweepOnce(ctx, before)
}
