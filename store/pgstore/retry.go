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

// repeat says whether the store may execute a statement again when it does not know
// whether the database executed it the first time.
type repeat bool

const (
	repeatable repeat = true
	onceOnly   repeat = false
)

// Bounds on attempts. The store repeats a statement after conflicts for about five
// seconds. After a lost connection it repeats it for about one second, which hides the
// end of a restart or of a failover; then the server answers that it is unavailable,
// and clients try again.
const (
	maxConflicts = 20
	maxLost      = 5
	firstWait    = 2 * time.Millisecond
	longestWait  = 400 * time.Millisecond
)

// do calls op until op succeeds, or fails for a reason that another attempt would not
// change. mayBeDone tells op whether the database may have executed an earlier attempt.
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
			s.pool.Reset() // the pool's other connections are most likely lost, too
			pause = backoff(4 + lost)
		}
		if waitErr := wait(ctx, pause); waitErr != nil {
			return s.explain(ctx, doing, err)
		}
	}
}

// waitForRow returns a function that pauses between attempts to change a locked row.
// The pause holds no connection. After maxConflicts pauses the function returns
// errRowLocked.
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

// backoff returns a wait that doubles with every attempt. A random part of it keeps
// callers that conflicted once from conflicting again.
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

// modeAndArgs prepends pgx's execution mode to the arguments of a statement, where
// prepared statements cannot be used.
func (s *Store) modeAndArgs(args []any) []any {
	if !s.unprepared.Load() {
		return args
	}
	return append([]any{pgx.QueryExecModeExec}, args...)
}

// exec executes one statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, doing string, again repeat, statement string, args ...any) (int64, error) {
	var changed int64
	err := s.do(ctx, doing, again, func(bool) error {
		tag, err := s.pool.Exec(ctx, statement, s.modeAndArgs(args)...)
		changed = tag.RowsAffected()
		return err
	})
	return changed, err
}

// exec1 is exec for a statement that changes one row; if the statement changes none,
// the error is [store.ErrNotFound]. The store does not repeat a statement that the
// database may have executed.
func (s *Store) exec1(ctx context.Context, doing, statement string, args ...any) error {
	n, err := s.exec(ctx, doing, onceOnly, statement, args...)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// queryRow executes a statement that changes nothing and returns one row. Without a row
// the error is [store.ErrNotFound].
func (s *Store) queryRow(ctx context.Context, doing, statement string, args []any, scan func(pgx.Row) error) error {
	return s.do(ctx, doing, repeatable, func(bool) error {
		return scan(s.pool.QueryRow(ctx, statement, s.modeAndArgs(args)...))
	})
}

// collect executes a statement that changes nothing, and returns all of its rows.
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
