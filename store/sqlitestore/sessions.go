package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/internal/confirm"
)

// columns are in the order in which scan reads and Create writes them.
const columns = `id, generation, branch, confirmed_at, expires_at, ended_at, end_reason,
	subject, username, scope, device, ip, created_at`

const selectByID = `SELECT ` + columns + ` FROM sessions WHERE id = ?`

const (
	// sweepBatch bounds how many rows a sweep removes at once, and so how long it delays
	// other writes.
	sweepBatch = 1000
	// idleBatches is how many times sweepBatch rows one sweep looks at for idle sessions.
	idleBatches = 100
)

// Create adds a session, or returns [store.ErrExists].
func (s *Store) Create(ctx context.Context, session store.Session) error {
	var endedAt, endReason any
	if !session.EndedAt.IsZero() {
		endedAt, endReason = session.EndedAt.UnixMilli(), string(session.EndReason)
	}
	_, err := s.exec(ctx, "create a session",
		`INSERT INTO sessions (`+columns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		session.ID[:], session.Current.Generation, int64(session.Current.Branch),
		session.ConfirmedAt.UnixMilli(), session.ExpiresAt.UnixMilli(), endedAt, endReason,
		session.Subject, session.Username, session.Scope, session.Device, session.IP,
		session.CreatedAt.UnixMilli())
	return err
}

// Get returns a session, or [store.ErrNotFound].
func (s *Store) Get(ctx context.Context, id rotation.SessionID) (store.Session, error) {
	session, err := scan(s.get.QueryRowContext(ctx, id[:]))
	return session, s.explain(ctx, "get a session", err)
}

// advance confirms a token with one statement on one row.
const advance = `UPDATE sessions SET generation = ?, branch = ?, confirmed_at = ?
	WHERE id = ? AND generation = ? AND ended_at IS NULL AND expires_at > ?
	RETURNING ` + columns

// Confirm makes to the session's current token if to is newer and the session lives.
// Without such a session the error is [store.ErrNotFound].
func (s *Store) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	return confirm.Confirm(confirm.Steps{
		Advance: func(from uint32) (store.Session, bool, error) {
			var session store.Session
			n, err := s.query(ctx, "confirm a refresh token", func(row row) (err error) {
				session, err = scan(row)
				return err
			}, advance, to.Generation, int64(to.Branch), at.UnixMilli(), id[:], from, at.UnixMilli())
			if err != nil { // the writer may still scan into session
				return store.Session{}, false, err
			}
			return session, n == 1, nil
		},
		Get: func() (store.Session, error) { return s.Get(ctx, id) },
	}, to, at)
}

// End ends a session. If the session has ended already, End changes nothing. It returns
// false if the session lives because its current token is not end.If.
func (s *Store) End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	const (
		doing     = "end a session"
		statement = `UPDATE sessions SET ended_at = ?, end_reason = ? WHERE id = ? AND ended_at IS NULL`
	)
	args := []any{end.At.UnixMilli(), string(end.Reason), id[:]}
	if end.If == nil {
		_, err := s.exec(ctx, doing, statement, args...)
		return err == nil, err
	}
	n, err := s.exec(ctx, doing, statement+` AND generation = ? AND branch = ?`,
		append(args, end.If.Generation, int64(end.If.Branch))...)
	if err != nil || n == 1 {
		return n == 1, err
	}
	session, err := s.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return true, nil
	}
	return err == nil && !session.EndedAt.IsZero(), err
}

// EndSubject ends all live sessions of a subject and returns how many it ended.
func (s *Store) EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error) {
	n, err := s.exec(ctx, "end the sessions of a subject",
		`UPDATE sessions SET ended_at = ?, end_reason = ? WHERE subject = ? AND ended_at IS NULL`,
		at.UnixMilli(), string(reason), subject)
	return int(n), err
}

// List returns one page of the sessions of a subject that have not ended, newest first.
func (s *Store) List(ctx context.Context, subject string, page store.Page) ([]store.Session, error) {
	after, limit := int64(math.MaxInt64), -1
	if !page.After.CreatedAt.IsZero() {
		after = page.After.CreatedAt.UnixMilli()
	}
	if page.Limit > 0 {
		limit = page.Limit
	}
	return collect(ctx, s, "list sessions", scan, `SELECT `+columns+` FROM sessions
		WHERE subject = ?1 AND ended_at IS NULL AND (created_at < ?2 OR created_at = ?2 AND id > ?3)
		ORDER BY created_at DESC, id LIMIT ?4`, subject, after, page.After.ID[:], limit)
}

// Ended returns the sessions that something has ended at or after a time.
func (s *Store) Ended(ctx context.Context, since time.Time) ([]store.Session, error) {
	return collect(ctx, s, "list ended sessions", scan,
		`SELECT `+columns+` FROM sessions WHERE ended_at IS NOT NULL AND ended_at >= ?1`, since.UnixMilli())
}

// Sweep removes up to 1,000 sessions that ended or expired before over. Among the next
// 100,000 sessions, in the order in which they began, it removes those that are live and
// were confirmed before idle.
func (s *Store) Sweep(ctx context.Context, over, idle time.Time) (int, error) {
	n, err := s.sweepOver(ctx, over)
	if err != nil {
		return n, err
	}
	removed, err := s.sweepIdle(ctx, idle)
	return n + removed, err
}

func (s *Store) sweepOver(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep", `DELETE FROM sessions WHERE number IN (
			SELECT number FROM sessions WHERE ended_at < ?1
			UNION ALL SELECT number FROM sessions WHERE expires_at < ?1
			LIMIT ?2)`,
		before.UnixMilli(), sweepBatch)
	return int(n), err
}

// An index by the time of the confirmation would make every refresh dearer. A sweep walks
// through the table instead, with the readers' connections, and writes only where it has
// found something.
const idleAmongNext = `SELECT coalesce(max(number), 0), coalesce(max(ended_at IS NULL AND confirmed_at < ?2), 0)
	FROM (SELECT number, ended_at, confirmed_at FROM sessions WHERE number > ?1 ORDER BY number LIMIT ?3)`

// sweepIdle removes idle sessions among those that follow the last ones that it has looked
// at. At the end of the table it returns; the next call begins at the start.
func (s *Store) sweepIdle(ctx context.Context, before time.Time) (removed int, _ error) {
	const doing = "sweep idle sessions"
	for range idleBatches {
		from := s.swept.Load()
		var to int64
		var found bool
		err := s.reader.QueryRowContext(ctx, idleAmongNext, from, before.UnixMilli(), sweepBatch).Scan(&to, &found)
		if err != nil {
			return removed, s.explain(ctx, doing, err)
		}
		if found {
			n, err := s.exec(ctx, doing, `DELETE FROM sessions WHERE number > ? AND number <= ? AND ended_at IS NULL AND confirmed_at < ?`,
				from, to, before.UnixMilli())
			removed += int(n)
			if err != nil {
				return removed, err
			}
		}
		s.swept.Store(to) // 0 at the end of the table
		if to == 0 {
			break
		}
	}
	return removed, nil
}

func scan(row row) (store.Session, error) {
	var (
		session                          store.Session
		id                               []byte
		branch                           int64
		confirmedAt, expiresAt, createAt int64
		endedAt                          sql.NullInt64
		endReason                        sql.NullString
	)
	err := row.Scan(&id, &session.Current.Generation, &branch, &confirmedAt, &expiresAt, &endedAt, &endReason,
		&session.Subject, &session.Username, &session.Scope, &session.Device, &session.IP, &createAt)
	if err != nil {
		return store.Session{}, err
	}
	copy(session.ID[:], id)
	session.Current.Branch = uint64(branch)
	session.ConfirmedAt = time.UnixMilli(confirmedAt)
	session.ExpiresAt = time.UnixMilli(expiresAt)
	session.CreatedAt = time.UnixMilli(createAt)
	if endedAt.Valid {
		session.EndedAt = time.UnixMilli(endedAt.Int64)
		session.EndReason = rotation.EndReason(endReason.String)
	}
	return session, nil
}
