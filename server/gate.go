package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// What may wait for a turn, and for how long.
const (
	longestWait        = 5 * time.Second
	waitingOfUser      = 32
	waitingOfNetwork   = 128
	waitingAltogether  = 1024
	defaultConcurrency = 64
)

// errBusy is returned where too many sign-ins wait already.
var errBusy = errors.New("too many sign-ins are waiting")

// A signInGate lets sign-ins through to the directory: no more at once than that
// can check, in turns by network and then by user, and none that the limits refuse.
// Whoever sends the most, or tries again the fastest, gets no more turns than the
// others for it.
type signInGate struct {
	turns int

	mu      sync.Mutex
	running int
	limits  *signInLimiter
	queue   fairQueue
}

func newSignInGate(limits SignInLimits, concurrency int, now func() time.Time) *signInGate {
	return &signInGate{
		turns:  concurrency,
		limits: newSignInLimiter(limits, now),
		queue:  fairQueue{ofUser: waitingOfUser, ofNetwork: waitingOfNetwork, altogether: waitingAltogether},
	}
}

// A turn is the answer to a sign-in that has waited: it may go on, or has to come
// back after a time, or there is no room for it.
type turn struct {
	wait time.Duration
	err  error
}

// A waiter is a sign-in in the queue.
type waiter struct {
	attempt
	told chan turn // buffered: whoever tells does not wait
}

// enter waits for the turn of a sign-in, or returns errBusy or the context's error.
// With a positive wait the sign-in must not go on: it may after that time. With
// neither, leave ends the turn.
func (g *signInGate) enter(ctx context.Context, from signInOrigin) (attempt, time.Duration, error) {
	g.mu.Lock()
	w := &waiter{attempt: g.limits.attempt(from), told: make(chan turn, 1)}
	g.admit(w)
	g.mu.Unlock()

	select {
	case t := <-w.told:
		return w.attempt, t.wait, t.err
	default:
	}
	timeout := time.NewTimer(longestWait)
	defer timeout.Stop()
	var err error
	select {
	case t := <-w.told:
		return w.attempt, t.wait, t.err
	case <-timeout.C:
		err = errBusy
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	waits := g.queue.remove(w)
	g.mu.Unlock()
	if !waits { // it was told at the same moment
		t := <-w.told
		return w.attempt, t.wait, t.err
	}
	return w.attempt, 0, err
}

// admit puts a sign-in into the queue, unless the limits refuse it already.
func (g *signInGate) admit(w *waiter) {
	if v, wait := g.limits.judge(w.attempt); v == limited {
		w.told <- turn{wait: wait}
		return
	}
	if loser := g.queue.add(w); loser != nil {
		loser.told <- turn{err: errBusy}
	}
	g.next()
}

// leave ends a turn.
func (g *signInGate) leave(a attempt, how outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.limits.finish(a, how)
	g.next()
}

// next gives the turns that are free to those whose turn it is.
func (g *signInGate) next() {
	for g.running < g.turns {
		var wait time.Duration
		w := g.queue.take(func(w *waiter) bool {
			var v verdict
			v, wait = g.limits.judge(w.attempt)
			return v != hold
		})
		if w == nil {
			return
		}
		if wait == 0 {
			g.running++
			g.limits.start(w.attempt)
		}
		w.told <- turn{wait: wait}
	}
}
