package pgstore

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	// batchers is how many statements are under way at once. While they are, what
	// comes gathers for the next one.
	batchers = 3
	// largestBatch bounds how many confirmations share a statement.
	largestBatch = 128
	// batchTimeout bounds a statement that no single context does.
	batchTimeout = 10 * time.Second
)

// errClosed is for calls after Close.
var errClosed = errors.New("the store is closed")

// An attempt is one confirmation, and somebody who waits for it.
type attempt struct {
	id   rotation.SessionID
	to   rotation.Position
	at   time.Time
	from uint32

	done      chan struct{} // closed once the following are set
	session   store.Session
	confirmed bool
	err       error
}

// advance and advanceMany are one round trip, and one updated row a session.
const (
	advance = `UPDATE tandem_sessions SET generation = $2, branch = $3, confirmed_at = $4
	WHERE id = $1 AND generation = $5 AND ended_at IS NULL AND expires_at > $4
	RETURNING ` + columns

	advanceMany = `UPDATE tandem_sessions s SET generation = n.to_generation, branch = n.to_branch, confirmed_at = n.at
	FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[])
		AS n (session, to_generation, to_branch, at, from_generation)
	WHERE s.id = n.session AND s.generation = n.from_generation AND s.ended_at IS NULL AND s.expires_at > n.at
	RETURNING ` + columns
)

// A batcher carries out confirmations. Those that come while others are under way
// share the next statement, and its commit: the more there are at once, the less
// each costs. A lone one waits for nobody.
type batcher struct {
	store    *Store
	queue    chan *attempt
	stop     chan struct{}
	stopOnce sync.Once
	running  sync.WaitGroup
}

func newBatcher(s *Store) *batcher {
	b := &batcher{store: s, queue: make(chan *attempt, largestBatch), stop: make(chan struct{})}
	for range batchers {
		b.running.Go(b.run)
	}
	return b
}

// close waits for what is under way; what is queued is told that the store is
// closed. It may be called twice.
func (b *batcher) close() {
	b.stopOnce.Do(func() { close(b.stop) })
	b.running.Wait()
}

// do waits for an attempt, as long as the context allows; it may be carried out all
// the same.
func (b *batcher) do(ctx context.Context, one *attempt) error {
	one.done = make(chan struct{})
	select {
	case b.queue <- one:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.stop:
		return errClosed
	}
	select {
	case <-one.done:
		return one.err
	case <-ctx.Done():
		return ctx.Err()
	case <-b.stop:
		b.running.Wait()
	}
	select {
	case <-one.done:
		return one.err
	default:
		return errClosed
	}
}

func (b *batcher) run() {
	for {
		select {
		case first := <-b.queue:
			b.carryOut(b.collect(first))
		case <-b.stop:
			return
		}
	}
}

// collect takes what is queued behind first, without waiting for more. Whoever is
// ready to run does so before: where the processors are busy, some are on their way.
func (b *batcher) collect(first *attempt) []*attempt {
	runtime.Gosched()
	batch := []*attempt{first}
	for len(batch) < largestBatch {
		select {
		case next := <-b.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

func (b *batcher) carryOut(batch []*attempt) {
	// Those who wait must not be able to break each other's statement.
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	var err error
	if len(batch) == 1 {
		err = b.store.advanceOne(ctx, batch[0])
	} else {
		err = b.store.advanceAll(ctx, batch)
	}
	for _, one := range batch {
		one.err = err
		close(one.done)
	}
}

func (s *Store) advanceOne(ctx context.Context, one *attempt) error {
	session, err := scan(s.pool.QueryRow(ctx, advance, s.modeAndArgs([]any{
		one.id.String(), int64(one.to.Generation), int64(one.to.Branch), one.at, int64(one.from),
	})...))
	switch {
	case err == nil:
		one.session, one.confirmed = session, true
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	}
	return err
}

func (s *Store) advanceAll(ctx context.Context, batch []*attempt) error {
	// In the order of the rows' keys, so that two servers with the same sessions do
	// not wait for each other.
	slices.SortFunc(batch, func(a, b *attempt) int { return slices.Compare(a.id[:], b.id[:]) })
	var (
		ids                         []string
		generations, branches, from []int64
		at                          []time.Time
	)
	for _, one := range batch {
		ids = append(ids, one.id.String())
		generations = append(generations, int64(one.to.Generation))
		branches = append(branches, int64(one.to.Branch))
		at = append(at, one.at)
		from = append(from, int64(one.from))
	}
	rows, err := s.pool.Query(ctx, advanceMany, s.modeAndArgs([]any{ids, generations, branches, at, from})...)
	if err != nil {
		return err
	}
	advanced, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (store.Session, error) { return scan(row) })
	if err != nil {
		return err
	}
	for _, session := range advanced {
		// Of several attempts for one row, only one was carried out; if they are for the
		// same token, it does not matter which.
		i := slices.IndexFunc(batch, func(one *attempt) bool { return one.id == session.ID && one.to == session.Current })
		if i >= 0 {
			batch[i].session, batch[i].confirmed = session, true
		}
	}
	return nil
}
