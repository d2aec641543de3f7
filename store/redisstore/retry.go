package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// repeat says whether the store may execute a command again when it does not know
// whether the server executed it the first time.
type repeat bool

const (
	repeatable repeat = true
	onceOnly   repeat = false
)

// Bounds on attempts. The store replaces a connection that broke, or that leads to a
// replica since a failover, without telling the caller. It does not wait for a server
// that is down: callers get the error at once, and clients try again.
const (
	maxAttempts = 4
	firstWait   = 10 * time.Millisecond
	// lastAttempt is how long after the first attempt the store may begin another one,
	// so that a server that hangs costs its timeout only once.
	lastAttempt = time.Second
)

// try calls op until op succeeds, or fails for another reason than a connection that
// was lost or leads to the wrong server. mayBeDone tells op whether the server may have
// executed an earlier attempt.
func (s *Store) try(ctx context.Context, doing string, again repeat, op func(mayBeDone bool) error) error {
	began, pause := time.Now(), firstWait
	mayBeDone := false
	for attempt := 1; ; attempt++ {
		tried := time.Now()
		err := op(mayBeDone)
		if isReplica(err) {
			s.connections.giveUp(tried)
		}
		notDone := isContextError(err) || isElsewhere(err)
		mayTry := notDone || (isLost(err) || isDemoted(err)) && bool(again)
		switch {
		case err == nil, ctx.Err() != nil, s.closed.Load(), !mayTry,
			attempt == maxAttempts, time.Since(began) > lastAttempt:
			return s.explain(ctx, doing, err)
		}
		mayBeDone = mayBeDone || !notDone
		if err := wait(ctx, pause); err != nil {
			return s.explain(ctx, doing, err)
		}
		pause *= 4
	}
}

// isContextError reports whether a context ended the attempt. If the caller's own
// context has not ended, the context was that of another caller whose new connection
// this attempt was waiting to share, and the client sent nothing.
func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run executes a script on keys of one slot, and passes its answer to read.
func (s *Store) run(ctx context.Context, doing string, again repeat, one *script, keys, args []string,
	read func(answer rueidis.RedisResult, mayBeDone bool) error,
) error {
	return s.try(ctx, doing, again, func(mayBeDone bool) error {
		return read(one.lua.Exec(ctx, s.client, keys, args), mayBeDone)
	})
}

// runDurably is run for a change that must be on the disk before the store answers.
func (s *Store) runDurably(ctx context.Context, doing string, again repeat, one *script, keys, args []string,
	read func(answer rueidis.RedisResult) error,
) error {
	return s.try(ctx, doing, again, func(bool) error {
		if s.waits {
			return s.execAndWait(ctx, one, keys, args, read)
		}
		return read(one.lua.Exec(ctx, s.client, keys, args))
	})
}
