package server

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How many sign-ins may wait for a turn, and for how long.
const (
	longestWait        = 5 * time.Second
	waitingOfUser      = 32
	waitingOfNetwork   = 128
	waitingAltogether  = 1024
	defaultConcurrency = 64
)

// errBusy is returned if too many sign-ins are waiting, or one has waited for too long.
var errBusy = errors.New("too many sign-ins are waiting")

// A signInGate lets sign-ins through to the directory: no more at once than the directory
// can check, in turns by network and then by user, and none that the limits refuse. A
// client that sends more sign-ins than others, or retries faster, gets no more turns.
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

// A turn is the gate's answer to a waiting sign-in. With wait and err zero, the sign-in
// may go on.
type turn struct {
	wait time.Duration // positive: the client must try again after this time
	err  error         // errBusy: there is no room
}

// A waiter is a sign-in in the queue.
type waiter struct {
	attempt
	told chan turn // buffered, so that the sender does not block
}

func (g *signInGate) stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{SignInsWaiting: g.queue.waiting, SignInsRunning: g.running, SignInTurns: g.turns}
}

// unlock lifts the limits on a user, and reports whether it did; see signInLimiter.
func (g *signInGate) unlock(username string, at time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.limits.unlock(username, at)
}

// enter waits for the turn of a sign-in. It returns an error (errBusy or the context's),
// or a positive wait if the client must try again after that time. Otherwise it is the
// sign-in's turn, and the caller must call leave.
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
	if !waits { // another goroutine has removed it from the queue and told it its turn
		t := <-w.told
		return w.attempt, t.wait, t.err
	}
	return w.attempt, 0, err
}

// admit puts a sign-in into the queue, unless the limits already refuse it. The caller
// holds g.mu.
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

// leave ends the turn of a sign-in, and counts its outcome.
func (g *signInGate) leave(a attempt, how outcome) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running--
	g.limits.finish(a, how)
	g.next()
}

// next gives free turns to the next sign-ins in the queue. The caller holds g.mu.
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
