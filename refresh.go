package tandem

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A flight is the one refresh under way. The goroutine that flies it belongs to
// the session, not to any of the callers that wait: they may leave.
type flight struct {
	from  *credential
	ctx   context.Context // has the values of the request that set it off
	begun time.Time
	done  chan struct{}
	err   error   // valid once done is closed
	news  []Event // told once the flight is over, when no lock is held
}

// note adds to the news what has just happened.
func (f *flight) note(s *Session, kind EventKind, err error) {
	f.news = append(f.news, s.took(kind, f.from.SessionID, f.begun, err))
}

// A failure is remembered for a while, so that a thousand callers do not make a
// thousand refreshes in a row.
type failure struct {
	err   *TemporaryError
	count int // in a row
}

// during marks the context of a callback with the flight that waits for it: a call
// made with it must not wait for that flight.
type during struct{ session *Session }

// credential returns one that may be sent: usable, and not refused, if that is
// given. It refreshes first if need be: what a refresh gives is not held against the
// refused one, even if it is the same again.
func (s *Session) credential(ctx context.Context, refused *credential) (*credential, error) {
	for {
		if s.closed.Load() {
			return nil, ErrClosed
		}
		c := s.live.Load()
		if c == nil {
			if err := s.adopt(ctx); err != nil {
				return nil, err
			}
			c = s.live.Load()
		}
		if c != nil && (refused == nil || c.AccessToken != refused.AccessToken) {
			now := s.config.Now()
			if c.usable(now) {
				if c.refreshDue(now) {
					s.startAhead(ctx, c)
				}
				return c, nil
			}
		}
		if err := s.refresh(ctx, c); err != nil {
			if s.mayLook(err) && s.look(ctx, c) {
				continue
			}
			return nil, err
		}
		refused = nil
	}
}

// adopt takes up what the store keeps, when there is no pair in use: another
// session that shares the store may have signed in. The session that has ended
// here is not taken up again, even if the store has failed to forget it.
func (s *Session) adopt(ctx context.Context) error {
	kept, err := s.store.Load(ctx)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return &TemporaryError{Err: fmt.Errorf("load the session: %w", err)}
	case kept.IsZero():
		return nil
	}
	if s.takeUp(kept) {
		s.tell(ctx, Event{Kind: EventAdopt, SessionID: kept.SessionID, Begun: s.config.Now()})
	}
	return nil
}

func (s *Session) takeUp(kept Pair) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.ended != nil && s.ended.SessionID == kept.SessionID ||
		!s.live.CompareAndSwap(nil, s.newCredential(kept)) {
		return false
	}
	s.ended, s.failure = nil, failure{}
	return true
}

// refresh waits until c has been replaced. It joins the flight under way or
// starts one.
func (s *Session) refresh(ctx context.Context, c *credential) error {
	f, err := s.join(ctx, c)
	if f == nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// join returns the flight to wait for; without one, why there is nothing to wait
// for: nil if c has been replaced already.
func (s *Session) join(ctx context.Context, c *credential) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed.Load():
		return nil, ErrClosed
	case s.live.Load() != c:
		return nil, nil
	case s.flight != nil && ctx.Value(during{s}) != s.flight:
		return s.flight, nil
	case c == nil && s.ended != nil:
		return nil, s.ended
	case c == nil:
		return nil, ErrNotSignedIn
	case s.flight != nil:
		return nil, &TemporaryError{Err: errors.New("OnEnd has not returned yet")}
	}
	if s.recentlyFailed() {
		return nil, s.failure.err
	}
	if c.spent.CompareAndSwap(false, true) {
		s.stats.expiries.Add(1)
	}
	return s.take(ctx, c), nil
}

// startAhead starts a refresh in the background, unless one is under way or the
// latest has only just failed.
func (s *Session) startAhead(ctx context.Context, c *credential) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.flight != nil || s.recentlyFailed() || s.live.Load() != c {
		return
	}
	s.take(ctx, c)
}

// recentlyFailed reports whether it is too early for another refresh; s.mu is held.
func (s *Session) recentlyFailed() bool {
	return s.failure.err != nil && before(s.config.Now(), s.failure.err.RetryAt)
}

// lookEvery is how often the store is read while a failure is remembered.
const lookEvery = time.Second

// mayLook reports whether err is a failure while which the store is worth a look:
// another session of it may have got on.
func (s *Session) mayLook(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Now()
	if s.failure.err == nil || !errors.Is(err, s.failure.err) || before(now, s.looked.Add(lookEvery)) {
		return false
	}
	s.looked = now
	return true
}

// look takes up a pair that the store has in the place of c, if it is good.
func (s *Session) look(ctx context.Context, c *credential) bool {
	kept, err := s.store.Load(ctx)
	u := s.notSaved()
	if err != nil || kept.IsZero() || kept.same(c.Pair) || s.outdated(kept) || u != nil && kept.same(u.prev) {
		return false
	}
	newer := s.newCredential(kept)
	if !newer.usable(s.config.Now()) || !s.live.CompareAndSwap(c, newer) {
		return false
	}
	s.overtake(c.Pair, kept)
	s.tell(ctx, Event{Kind: EventAdopt, SessionID: kept.SessionID, Begun: s.config.Now()})
	return true
}

// take starts the flight that replaces c; s.mu is held.
func (s *Session) take(ctx context.Context, c *credential) *flight {
	f := &flight{from: c, ctx: context.WithoutCancel(ctx), begun: s.config.Now(), done: make(chan struct{})}
	s.flight = f
	s.tasks.Add(1)
	go s.fly(f)
	return f
}

// fly refreshes, tells the application if the session has ended, and lands:
// in a defer, so that not even a panic leaves anyone waiting.
func (s *Session) fly(f *flight) {
	release := sync.OnceFunc(s.tasks.Done)
	defer release()
	land := sync.OnceFunc(func() { s.land(f) })
	defer land()

	f.err = &TemporaryError{Err: errors.New("the refresher has ended its goroutine")} // if it does
	f.err = s.replace(f)
	end, ended := errors.AsType[*EndedError](f.err)
	if ended = ended && s.conclude(f.from, end); ended {
		f.note(s, EventEnd, end)
	}
	if !ended || s.config.OnEnd == nil {
		land()
	}
	ctx := context.WithValue(f.ctx, during{s}, f)
	s.log(ctx, f.news...)
	// The callbacks are the application's code, and may call Close: what Close
	// waits for is over here.
	release()
	s.observe(ctx, f.news...)
	if ended && s.config.OnEnd != nil {
		s.config.OnEnd(context.WithValue(s.ctx, during{s}, f), s, end)
	}
}

// land takes the flight away, remembers how it went and lets all waiters go.
func (s *Session) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if now := s.live.Load(); now != nil && (now.SessionID != f.from.SessionID || now.AccessToken != f.from.AccessToken && now.usable(s.config.Now())) {
		f.err = nil // whatever happened: there is what the waiters wait for, or can refresh
	}
	var temporary *TemporaryError
	switch {
	case s.closed.Load() && f.err != nil:
		f.err = ErrClosed
	case errors.As(f.err, &temporary):
		s.failure.count++
		s.failure.err = temporary
		temporary.RetryAt = later(temporary.RetryAt, s.config.Now().Add(s.backOff(s.failure.count)))
		s.stats.refreshFailures.Add(1)
		f.note(s, EventRefreshFailed, temporary)
	case f.err == nil:
		s.failure = failure{}
	}
	close(f.done)
}

// conclude notes that the session has ended, and reports whether that is news:
// it is not if the credential was given up meanwhile, by SignOut or SignIn.
func (s *Session) conclude(c *credential, end *EndedError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live.CompareAndSwap(c, nil) {
		return false
	}
	s.ended = end
	s.stats.ends.Add(1)
	return true
}

// maxBackOff is the longest time for which a failure is remembered.
const maxBackOff = 30 * time.Second

// backOff returns for how long the count-th failure in a row is remembered: 1 s,
// 2 s, 4 s, …, less a random part of up to a half.
func (s *Session) backOff(count int) time.Duration {
	longest := min(time.Second<<min(count-1, 10), maxBackOff)
	return longest - s.config.Jitter(longest/2)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
