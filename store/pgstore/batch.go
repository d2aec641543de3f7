package pgstore

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/internal/group"
)

const (
	// workers is how many statements run at the same time. Confirmations that arrive
	// meanwhile wait for the next statement.
	workers = 3
	// largestBatch bounds how many confirmations share a statement.
	largestBatch = 128
	// batchTimeout bounds a statement that serves several callers, since no single
	// caller's context may end it.
	batchTimeout = 10 * time.Second
)

// An attempt is one confirmation and its result.
type attempt struct {
	id   rotation.SessionID
	to   rotation.Position
	at   time.Time
	from uint32

	session   store.Session
	confirmed bool
	err       error
}

// Both statements take one round trip and update one row per session. They skip rows
// that another transaction has locked: a statement that waited for a locked row would
// delay every confirmation that shares it or queues behind it.
const (
	advance = `UPDATE tandem_sessions SET generation = $2, branch = $3, confirmed_at = $4
	WHERE id = (SELECT id FROM tandem_sessions
		WHERE id = $1 AND generation = $5 AND ended_at IS NULL AND expires_at > $4
		FOR NO KEY UPDATE SKIP LOCKED)
	RETURNING ` + columns

	advanceMany = `UPDATE tandem_sessions s SET generation = free.to_generation, branch = free.to_branch, confirmed_at = free.at
	FROM (SELECT t.id AS session, n.to_generation, n.to_branch, n.at
		FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::bigint[])
			AS n (session, to_generation, to_branch, at, from_generation)
		JOIN tandem_sessions t ON t.id = n.session AND t.generation = n.from_generation
		WHERE t.ended_at IS NULL AND t.expires_at > n.at
		FOR NO KEY UPDATE OF t SKIP LOCKED) AS free
	WHERE s.id = free.session
	RETURNING ` + columns
)

// newBatcher returns the group that executes confirmations. Those that arrive while
// others run share the next statement and its commit.
func newBatcher(s *Store) *group.Group[attempt] {
	return group.New(group.Config[attempt]{Workers: workers, Largest: largestBatch, CarryOut: s.carryOut})
}

// carryOut executes a batch: the database confirms all of it or nothing.
func (s *Store) carryOut(batch []*attempt) {
	// The statement uses no caller's context: a caller that gives up must not abort the
	// confirmations of the others.
	ctx, cancel := context.WithTimeout(context.Background(), batchTimeout)
	defer cancel()
	var err error
	if len(batch) == 1 {
		err = s.advanceOne(ctx, batch[0])
	} else {
		err = s.advanceAll(ctx, batch)
	}
	for _, one := range batch {
		one.err = err
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
	// Every server updates rows in the order of their keys, so that two servers cannot
	// deadlock on a distributed database that waits for locked rows despite SKIP
	// LOCKED.
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
		// If several attempts are for one row, the database executed only one of them;
		// if they are for the same token, it does not matter which is reported.
		i := slices.IndexFunc(batch, func(one *attempt) bool { return one.id == session.ID && one.to == session.Current })
		if i >= 0 {
			batch[i].session, batch[i].confirmed = session, true
		}
	}
	return nil
}
