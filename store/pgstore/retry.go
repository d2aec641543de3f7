package pgstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tandem-auth/tandem/store"
)

// repeat says whether a statement may be carried out again where it is not known
// whether it was the first time.
type repeat bool

const (
	repeatable repeat = true
	onceOnly   repeat = false
)

// Bounds on attempts. Conflicts are given about five seconds. A lost connection is given about a second, in which a restart
// or a failover that is nearly over goes unnoticed; after that the server answers
// that it is unavailable, and clients come again.
const (
	maxConflicts = 20
	maxLost      = 5
	firstWait    = 2 * time.Millisecond
	longestWait  = 400 * time.Millisecond
)

// do carries out op until it succeeds or fails for a reason that no further attempt
// changes. It tells op whether an earlier attempt may have been carried out.
func (s *Store) do(ctx context.Context, doing string, again repeat, op func(mayBeDone bool) error) error {
	var conflicts, lost int
	mayBeDone := false
	for {
		prepared := !s.unprepared.Load()
		err := op(mayBeDone)
		if err == nil || ctx.Err() != nil {
			return s.explain(ctx, doing, err)
		}
		var pause time.Duration
		switch code := code(err); {
		case code == invalidStatementName, code == duplicateStatement:
			if !prepared {
				return s.explain(ctx, doing, err)
			}
			s.unprepared.Store(true)
		case code == serializationFailure, code == deadlockDetected, errors.Is(err, errRowLocked):
			conflicts++
			if conflicts > maxConflicts {
				return s.explain(ctx, doing, err)
			}
			pause = backoff(conflicts)
		default:
			notSent := pgconn.SafeToRetry(err) || isConnectError(err)
			lost++
			if !isLost(err) || lost > maxLost || !bool(again) && !notSent {
				return s.explain(ctx, doing, err)
			}
			mayBeDone = mayBeDone || !notSent
			s.pool.Reset() // its other connections have most likely been lost, too
			pause = backoff(4 + lost)
		}
		if waitErr := wait(ctx, pause); waitErr != nil {
			return s.explain(ctx, doing, err)
		}
	}
}

// waitForRow returns what pauses between attempts at a row that is locked, without a
// connection, and gives up when there have been enough.
func (s *Store) waitForRow(ctx context.Context, doing string) func() error {
	conflicts := 0
	return func() error {
		conflicts++
		if conflicts > maxConflicts || wait(ctx, backoff(conflicts)) != nil {
			return s.explain(ctx, doing, errRowLocked)
		}
		return nil
	}
}

// backoff doubles with every attempt, and is spread so that those who met once do
// not meet again.
func backoff(attempt int) time.Duration {
	longest := min(firstWait<<attempt, longestWait)
	return longest/2 + time.Duration(rand.Int64N(int64(longest/2))) //nolint:gosec // no secret
}

func wait(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// modeAndArgs puts before the arguments of a statement how it is to be carried out.
func (s *Store) modeAndArgs(args []any) []any {
	if !s.unprepared.Load() {
		return args
	}
	return append([]any{pgx.QueryExecModeExec}, args...)
}

// exec carries out one statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, doing string, again repeat, statement string, args ...any) (int64, error) {
	var changed int64
	err := s.do(ctx, doing, again, func(bool) error {
		tag, err := s.pool.Exec(ctx, statement, s.modeAndArgs(args)...)
		changed = tag.RowsAffected()
		return err
	})
	return changed, err
}

// exec1 is exec for a statement that changes one row, or finds none. It is not
// repeated where it may have been carried out.
func (s *Store) exec1(ctx context.Context, doing, statement string, args ...any) error {
	n, err := s.exec(ctx, doing, onceOnly, statement, args...)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// queryRow carries out a statement that changes nothing and returns one row, or
// none, which is [store.ErrNotFound].
func (s *Store) queryRow(ctx context.Context, doing, statement string, args []any, scan func(pgx.Row) error) error {
	return s.do(ctx, doing, repeatable, func(bool) error {
		return scan(s.pool.QueryRow(ctx, statement, s.modeAndArgs(args)...))
	})
}

// collect returns all rows of a statement that changes nothing.
func collect[T any](ctx context.Context, s *Store, doing string, scan func(pgx.Row) (T, error), statement string, args ...any) ([]T, error) {
	var found []T
	err := s.do(ctx, doing, repeatable, func(bool) error {
		rows, err := s.pool.Query(ctx, statement, s.modeAndArgs(args)...)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (T, error) { return scan(row) })
		return err
	})
	return found, err
}
