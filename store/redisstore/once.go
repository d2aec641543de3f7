package redisstore

import (
	"context"
	"time"

	"github.com/redis/rueidis"
)

// PutOnce adds a key that may be used once, and reports whether it was not there yet. The
// store does not repeat a command that the server may have executed: it would find its own
// key. A crash of the server may lose keys of the last second, whatever they were for.
func (s *Store) PutOnce(ctx context.Context, key string, until time.Time) (fresh bool, _ error) {
	// A lifetime, because the clock of the server may be ahead.
	lifetime := max(time.Until(until), time.Second)
	err := s.try(ctx, "use a key once", onceOnly, func(bool) error {
		err := s.client.Do(ctx, s.client.B().Set().Key(s.key("once:"+key)).Value("1").Nx().Px(lifetime).Build()).Error()
		fresh = err == nil
		if rueidis.IsRedisNil(err) {
			return nil
		}
		return err
	})
	return fresh, err
}

// SweepOnce has nothing to do, and returns 0: Redis removes the keys by itself.
func (s *Store) SweepOnce(ctx context.Context, _ time.Time) (int, error) {
	return 0, s.explain(ctx, "sweep keys", ctx.Err())
}
