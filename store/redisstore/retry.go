package redisstore

import (
	"context"
	"errors"
	"time"

	"github.com/redis/rueidis"
)

// repeat says whether something may be done again where it is not known whether it
// was done the first time.
type repeat bool

const (
	repeatable repeat = true
	onceOnly   repeat = false
)

// Bounds on attempts: a connection that broke, or leads to a replica since a failover,
// is replaced unseen. A server that is
// away is not waited for: callers are told at once, and their clients come again.
const (
	maxAttempts = 4
	firstWait   = 10 * time.Millisecond
	// lastAttempt is how long after the first one there are no more: a server that
	// hangs costs its timeout once.
	lastAttempt = time.Second
)

// try carries out op until it succeeds or fails for a reason other than a connection
// that is lost or leads elsewhere now. It tells op whether an earlier attempt may have been carried out.
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

// isContextError reports whether a context has ended the attempt. If it is not the
// caller's, it is that of another, whose connection this one was going to share, and
// nothing was sent.
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

// run carries out a script on one slot, and hands its answer to read.
func (s *Store) run(ctx context.Context, doing string, again repeat, one *script, keys, args []string,
	read func(answer rueidis.RedisResult, mayBeDone bool) error,
) error {
	return s.try(ctx, doing, again, func(mayBeDone bool) error {
		return read(one.lua.Exec(ctx, s.client, keys, args), mayBeDone)
	})
}

// runDurably is run for what must be on the disk when it is answered.
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
