package pgstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/internal/confirm"
)

// columns are in the order in which scan reads and Create writes them.
const columns = `id, generation, branch, confirmed_at, expires_at, created_at, ended_at, end_reason,
	subject, username, scope, device, ip`

const (
	// sweepBatch bounds how many rows one statement of a sweep removes.
	sweepBatch = 1000
	// idleBatches is how many times sweepBatch rows one sweep looks at for idle sessions.
	idleBatches = 100
)

// Create adds a session, or returns [store.ErrExists].
func (s *Store) Create(ctx context.Context, session store.Session) error {
	const doing = "create a session"
	var endedAt *time.Time
	var endReason *string
	if !session.EndedAt.IsZero() {
		reason := string(session.EndReason)
		endedAt, endReason = &session.EndedAt, &reason
	}
	added, mayBeOurs := int64(0), false
	err := s.do(ctx, doing, repeatable, func(mayBeDone bool) error {
		tag, err := s.pool.Exec(ctx, `INSERT INTO tandem_sessions (`+columns+`)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO NOTHING`,
			s.modeAndArgs([]any{
				session.ID.String(), int64(session.Current.Generation), int64(session.Current.Branch),
				session.ConfirmedAt, session.ExpiresAt, session.CreatedAt, endedAt, endReason,
				session.Subject, session.Username, session.Scope, session.Device, session.IP,
			})...)
		added, mayBeOurs = tag.RowsAffected(), mayBeDone
		return err
	})
	switch {
	case err != nil || added == 1:
		return err
	case mayBeOurs: // the database executed the first attempt, and its answer was lost
		there, err := s.Get(ctx, session.ID)
		if err != nil || there.Subject == session.Subject && there.Current == session.Current {
			return err
		}
	}
	return fmt.Errorf("%s: %w", doing, store.ErrExists)
}

// Get returns a session, or [store.ErrNotFound].
func (s *Store) Get(ctx context.Context, id rotation.SessionID) (session store.Session, _ error) {
	err := s.queryRow(ctx, "get a session", `SELECT `+columns+` FROM tandem_sessions WHERE id = $1`,
		[]any{id.String()}, func(row pgx.Row) (err error) {
			session, err = scan(row)
			return err
		})
	return session, err
}

// Confirm makes to the session's current token if to is newer and the session lives.
// Without such a session the error is [store.ErrNotFound].
func (s *Store) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	const doing = "confirm a refresh token"
	mayBeOurs := false
	result, err := confirm.Confirm(confirm.Steps{
		Advance: func(from uint32) (session store.Session, confirmed bool, _ error) {
			err := s.do(ctx, doing, repeatable, func(mayBeDone bool) error {
				mayBeOurs = mayBeOurs || mayBeDone
				one, err := s.batcher.Do(ctx, attempt{id: id, to: to, at: at, from: from})
				if err == nil {
					err = one.err
				}
				if err != nil {
					return err
				}
				session, confirmed = one.session, one.confirmed
				return nil
			})
			return session, confirmed, err
		},
		Get:  func() (store.Session, error) { return s.Get(ctx, id) },
		Wait: s.waitForRow(ctx, doing),
	}, to, at)
	if mayBeOurs && err == nil && !result.Confirmed && to.Generation > 0 && result.Session.Current == to && result.Session.ConfirmedAt.Equal(at) {
		// The database executed an earlier attempt, and its answer was lost.
		result.Confirmed, result.Previous = true, to.Generation-1
	}
	return result, err
}

// End ends a session. If the session has ended already, End changes nothing. It returns
// false if the session lives because its current token is not end.If.
func (s *Store) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	_, others, err := s.end(ctx, "end a session", `id = $1`, id.String(), end)
	return err == nil && others == 0, err
}

// EndSubject ends all live sessions of a subject and returns how many it ended. If
// another transaction has locked the rows of some of them, EndSubject ends and counts
// the others, and returns an error about the locked ones. After a lost connection it
// does not count the sessions that an earlier attempt ended.
func (s *Store) EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error) {
	n, _, err := s.end(ctx, "end the sessions of a subject", `subject = $1`, subject, store.End{Reason: reason, At: at})
	return n, err
}

// end ends the live sessions for which the condition and that of end hold, beginning with
// those whose rows are not locked. Between attempts at locked rows it holds no connection.
// It returns how many sessions it ended, and how many live because their current token is
// not end.If.
func (s *Store) end(ctx context.Context, doing, which, value string, end store.End) (n, others int, _ error) {
	const same = ` AND ($4::bigint IS NULL OR generation = $4::bigint AND branch = $5::bigint)`
	live := `SELECT id FROM tandem_sessions WHERE ` + which + ` AND ended_at IS NULL`
	statement := `WITH live AS (` + live + `), due AS (` + live + same + `), free AS (` + live + same + ` FOR NO KEY UPDATE SKIP LOCKED), ended AS (
			UPDATE tandem_sessions SET ended_at = $2, end_reason = $3 WHERE id IN (SELECT id FROM free) RETURNING id)
		SELECT (SELECT count(*) FROM live), (SELECT count(*) FROM due), (SELECT count(*) FROM ended)`
	var generation, branch *int64
	if end.If != nil {
		generation, branch = new(int64(end.If.Generation)), new(int64(end.If.Branch))
	}
	err := s.do(ctx, doing, repeatable, func(bool) error {
		var live, due, ended int
		err := s.pool.QueryRow(ctx, statement, s.modeAndArgs([]any{value, end.At, string(end.Reason), generation, branch})...).Scan(&live, &due, &ended)
		if err != nil {
			return err
		}
		n += ended
		others = live - due
		if ended < due {
			return errRowLocked // or another server has just changed it, which the next attempt sees
		}
		return nil
	})
	return n, others, err
}

// List returns one page of the sessions of a subject that have not ended, newest first.
func (s *Store) List(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	var after *time.Time
	var limit *int64
	if !page.After.CreatedAt.IsZero() {
		after = &page.After.CreatedAt
	}
	if page.Limit > 0 {
		limit = new(int64(page.Limit))
	}
	return collect(ctx, s, "list sessions", scan, `SELECT `+columns+` FROM tandem_sessions
		WHERE subject = $1 AND ended_at IS NULL
			AND ($2::timestamptz IS NULL OR created_at < $2::timestamptz OR created_at = $2::timestamptz AND id > $3::uuid)
		ORDER BY created_at DESC, id LIMIT $4::bigint`, subject, after, page.After.ID.String(), limit)
}

// Ended returns the sessions that something has ended at or after a time.
func (s *Store) Ended(ctx context.Context, since time.Time) ([]store.Session, error) {
	return collect(ctx, s, "list ended sessions", scan,
		`SELECT `+columns+` FROM tandem_sessions WHERE ended_at IS NOT NULL AND ended_at >= $1`, since)
}

// Sweep removes up to 1,000 sessions that ended or expired before over. Among the next
// 100,000 sessions, in the order of their IDs, it removes those that are live and were
// confirmed before idle. It skips sessions whose rows another transaction has locked.
func (s *Store) Sweep(ctx context.Context, over, idle time.Time) (int, error) {
	n, err := s.sweepOver(ctx, over)
	if err != nil {
		return n, err
	}
	removed, err := s.sweepIdle(ctx, idle)
	return n + removed, err
}

func (s *Store) sweepOver(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep", repeatable, `WITH over AS (
			SELECT id FROM tandem_sessions WHERE ended_at < $1
			UNION ALL SELECT id FROM tandem_sessions WHERE expires_at < $1
			LIMIT $2),
		free AS (SELECT id FROM tandem_sessions WHERE id IN (SELECT id FROM over) FOR UPDATE SKIP LOCKED)
		DELETE FROM tandem_sessions WHERE id IN (SELECT id FROM free)`, before, sweepBatch)
	return int(n), err
}

// An index by the time of the confirmation would make every refresh dearer: PostgreSQL
// would have to touch all indexes. A sweep walks along the primary key instead, and writes
// only where it has found something.
const idleAmongNext = `SELECT id, ended_at IS NULL AND confirmed_at < $2
	FROM tandem_sessions WHERE id > $1 ORDER BY id LIMIT $3`

// sweepIdle removes idle sessions among those that follow the last ones that it has looked
// at. At the end of the table it returns; the next call begins at the start.
func (s *Store) sweepIdle(ctx context.Context, before time.Time) (removed int, _ error) {
	const doing = "sweep idle sessions"
	type candidate struct {
		id   rotation.SessionID
		idle bool
	}
	for range idleBatches {
		var from rotation.SessionID
		if last := s.swept.Load(); last != nil {
			from = *last
		}
		page, err := collect(ctx, s, doing, func(row pgx.Row) (c candidate, err error) {
			err = row.Scan((*[16]byte)(&c.id), &c.idle)
			return c, err
		}, idleAmongNext, from.String(), before, sweepBatch)
		if err != nil {
			return removed, err
		}
		if len(page) == 0 {
			s.swept.Store(nil)
			break
		}
		var idle []string
		for _, c := range page {
			if c.idle {
				idle = append(idle, c.id.String())
			}
		}
		if len(idle) > 0 {
			n, err := s.exec(ctx, doing, repeatable, `WITH free AS (
					SELECT id FROM tandem_sessions WHERE id = ANY($1::uuid[]) AND ended_at IS NULL AND confirmed_at < $2 FOR UPDATE SKIP LOCKED)
				DELETE FROM tandem_sessions WHERE id IN (SELECT id FROM free)`, idle, before)
			removed += int(n)
			if err != nil {
				return removed, err
			}
		}
		s.swept.Store(&page[len(page)-1].id)
	}
	return removed, nil
}

func scan(row pgx.Row) (store.Session, error) {
	var (
		session            store.Session
		id                 [16]byte
		generation, branch int64
		endedAt            *time.Time
		endReason          *string
	)
	err := row.Scan(&id, &generation, &branch, &session.ConfirmedAt, &session.ExpiresAt, &session.CreatedAt, &endedAt, &endReason,
		&session.Subject, &session.Username, &session.Scope, &session.Device, &session.IP)
	if err != nil {
		return store.Session{}, err
	}
	session.ID = id
	session.Current = rotation.Position{Generation: uint32(generation), Branch: uint64(branch)}
	if endedAt != nil && endReason != nil {
		session.EndedAt, session.EndReason = *endedAt, rotation.EndReason(*endReason)
	}
	return session, nil
}
