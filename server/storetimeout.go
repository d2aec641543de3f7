package server

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// storeTimeout bounds how long a request waits for the store: one that hangs is
// answered with 503, as one that is down.
const storeTimeout = 5 * time.Second

// A boundedStore bounds each call that a request waits for.
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

func (s boundedStore) End(ctx context.Context, id rotation.SessionID, reason rotation.EndReason, at time.Time) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	return s.Store.End(ctx, id, reason, at)
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
