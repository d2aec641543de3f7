package pgstore

import (
	"context"
	"time"
)

// PutOnce adds a key that may be used once, and reports whether it was not there yet. The
// store does not repeat a statement that the database may have executed: it would find its
// own key.
func (s *Store) PutOnce(ctx context.Context, key string, until time.Time) (bool, error) {
	n, err := s.exec(ctx, "use a key once", onceOnly,
		`INSERT INTO tandem_once (key, until) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING`, key, until)
	return n == 1, err
}

// SweepOnce removes up to 1,000 keys whose time was over before the given time.
func (s *Store) SweepOnce(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep keys", repeatable, `WITH over AS (
			SELECT key FROM tandem_once WHERE until < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM tandem_once WHERE key IN (SELECT key FROM over)`, before, sweepBatch)
	return int(n), err
}
