package sqlitestore

import (
	"context"
	"time"
)

// PutOnce adds a key that may be used once, and reports whether it was not there yet.
func (s *Store) PutOnce(ctx context.Context, key string, until time.Time) (bool, error) {
	n, err := s.exec(ctx, "use a key once",
		`INSERT INTO once (key, until) VALUES (?, ?) ON CONFLICT (key) DO NOTHING`, key, until.UnixMilli())
	return n == 1, err
}

// SweepOnce removes up to 1,000 keys whose time was over before the given time.
func (s *Store) SweepOnce(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep keys",
		`DELETE FROM once WHERE key IN (SELECT key FROM once WHERE until < ? LIMIT ?)`, before.UnixMilli(), sweepBatch)
	return int(n), err
}
