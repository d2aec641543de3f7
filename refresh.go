package tandem

import (
	"context"
	"errors"
	"sync"
	"time"
)

// A flight is the one refresh under way. Its goroutine belongs to the session, not to a
// caller: a caller that gives up leaves, and the refresh goes on for the others.
type flight struct {
	from  *credential
	ctx   context.Context // has the values of the request that started the refresh
	begun time.Time
	done  chan struct{}
	err   error   // valid once done is closed
	news  []Event // reported after the refresh, when the goroutine holds no lock
}

// note adds an event to the news.
func (f *flight) note(s *Session, kind EventKind, err error) {
	f.news = append(f.news, s.took(kind, f.from.SessionID, f.begun, err))
}

// A failure is the latest failed refresh. The session remembers it for a while, so that a
// thousand callers do not cause a thousand refreshes in a row.
type failure struct {
	err   *TemporaryError
	at    time.Time
	count int // in a row
}

// holds reports whether the session must not refresh yet.
func (f failure) holds(now time.Time) bool { return f.err != nil && within(now, f.at, f.err.RetryAt) }

// inCallbackOf is the context key under which a callback's context has the flight that
// waits for the callback. A call with that context must not wait for the flight.
type inCallbackOf struct{ session *Session }

// credential returns a credential whose access token may be sent; the session refreshes
// first if it has none. If refused is not nil, an API has refused its access token:
// credential then returns one with another token, or the result of a refresh, even if that
// has the same token.
func (s *Session) credential(ctx context.Context, refused *credential) (*credential, error) {
	for {
		if s.closed.Load() {
			return nil, ErrClosed
		}
		c := s.keeper.live.Load()
		if c == nil {
			if err := s.adopt(ctx); err != nil {
				return nil, err
			}
			c = s.keeper.live.Load()
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

// adopt has the keeper adopt the stored pair when no pair is in use.
func (s *Session) adopt(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	adopted, err := s.keeper.adopt(bounded)
	var other *OtherServerError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &other):
		return err
	case err != nil:
		return &TemporaryError{Err: err}
	case adopted:
		s.mu.Lock()
		s.failure = failure{}
		s.mu.Unlock()
		s.tellAdopted(ctx)
	}
	return nil
}

func (s *Session) tellAdopted(ctx context.Context) {
	s.tell(ctx, Event{Kind: EventAdopt, SessionID: s.Status().SessionID, Begun: s.config.Now()})
}

// refresh waits until c has been replaced. It joins the refresh under way or starts one.
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
	case <-s.ctx.Done():
		return ErrClosed
	}
}

// join returns the flight to wait for. Without one, it returns an error, or nil if c has
// been replaced already.
func (s *Session) join(ctx context.Context, c *credential) (*flight, error) {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed.Load():
		return nil, ErrClosed
	case s.keeper.live.Load() != c:
		return nil, nil
	case s.flight != nil && ctx.Value(inCallbackOf{s}) != s.flight:
		return s.flight, nil
	case c == nil:
		if ended := s.keeper.endedError(); ended != nil {
			return nil, ended
		}
		return nil, ErrNotSignedIn
	case s.flight != nil:
		return nil, &TemporaryError{Err: errors.New("OnEnd has not returned yet")}
	case s.failure.holds(now):
		return nil, s.failure.err
	}
	if c.counted.CompareAndSwap(false, true) {
		s.stats.expiries.Add(1)
	}
	return s.startRefresh(ctx, c, now), nil
}

// startAhead starts a refresh in the background, unless a refresh is under way or the
// session remembers a failure.
func (s *Session) startAhead(ctx context.Context, c *credential) {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.flight != nil || s.failure.holds(now) || s.keeper.live.Load() != c {
		return
	}
	s.startRefresh(ctx, c, now)
}

// lookEvery is how often the session reads the store while it remembers a failure.
const lookEvery = time.Second

// mayLook reports whether err is the remembered failure and the session has not read the
// store for lookEvery: another process may have refreshed since.
func (s *Session) mayLook(err error) bool {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failure.err == nil || !errors.Is(err, s.failure.err) || within(now, s.lookedAt, s.lookedAt.Add(lookEvery)) {
		return false
	}
	s.lookedAt = now
	return true
}

// look has the keeper adopt a newer pair than c, and reports whether its access token is
// usable.
func (s *Session) look(ctx context.Context, c *credential) bool {
	if c == nil {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	adopted, _, err := s.keeper.reload(bounded, c)
	if err != nil || !adopted {
		return false
	}
	s.tellAdopted(ctx)
	live := s.keeper.live.Load()
	return live != nil && live.usable(s.config.Now())
}

// startRefresh starts the refresh that replaces c; s.mu is held.
func (s *Session) startRefresh(ctx context.Context, c *credential, now time.Time) *flight {
	f := &flight{from: c, ctx: context.WithoutCancel(ctx), begun: now, done: make(chan struct{})}
	s.flight = f
	s.tasks.Add(1)
	go s.runRefresh(f)
	return f
}

// runRefresh refreshes, calls OnEnd if the session has ended, and finishes the flight. It
// finishes in a defer, so that callers do not wait forever after a panic.
func (s *Session) runRefresh(f *flight) {
	release := sync.OnceFunc(s.tasks.Done)
	defer release()
	finish := sync.OnceFunc(func() { s.finish(f) })
	defer finish()

	f.err = &TemporaryError{Err: errors.New("the refresher has ended its goroutine")} // stays if Refresh calls runtime.Goexit
	f.err = s.replace(f)
	end, ended := errors.AsType[*EndedError](f.err)
	if ended {
		f.note(s, EventEnd, end)
	}
	if !ended || s.config.OnEnd == nil {
		finish()
	}
	ctx := context.WithValue(f.ctx, inCallbackOf{s}, f)
	s.log(ctx, f.news...)
	// Observe and OnEnd are the application's code and may call Close, so Close must not
	// wait for them.
	release()
	s.observe(ctx, f.news...)
	if ended && s.config.OnEnd != nil {
		s.config.OnEnd(context.WithValue(s.ctx, inCallbackOf{s}, f), s, end)
	}
}

// finish ends the flight: the session remembers a failure, and all waiters go on.
func (s *Session) finish(f *flight) {
	now := s.config.Now()
	live := s.keeper.live.Load()
	if live != nil && (live.SessionID != f.from.SessionID || live.AccessToken != f.from.AccessToken && live.usable(now)) {
		f.err = nil // a usable token or a new session is there: waiters go on
	}
	_, ended := errors.AsType[*EndedError](f.err)
	switch {
	case live == nil && !ended:
		f.err = nil // signed out meanwhile: waiters see that by themselves
	case f.err == nil && live != nil && live != f.from && live.fetched && !live.decided().Usable(now):
		f.err = &TemporaryError{Err: errors.New("the access token had expired before it could be used")}
	}
	var temporary *TemporaryError
	if !ended && errors.As(f.err, &temporary) {
		s.mu.Lock()
		count := s.failure.count + 1
		s.mu.Unlock()
		temporary.RetryAt = later(temporary.RetryAt, now.Add(s.backOff(count)))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	switch {
	case s.closed.Load() && f.err != nil:
		f.err = ErrClosed
	case temporary != nil:
		s.failure = failure{err: temporary, at: now, count: s.failure.count + 1}
		s.stats.refreshFailures.Add(1)
		f.news = append(f.news, Event{
			Kind: EventRefreshFailed, SessionID: f.from.SessionID, Begun: f.begun, Duration: now.Sub(f.begun), Err: temporary,
		})
	case f.err == nil:
		s.failure = failure{}
	}
	close(f.done)
}

// maxBackOff is the longest time for which the session remembers a failure.
const maxBackOff = 30 * time.Second

// backOff returns for how long the session remembers the count-th failure in a row: 1 s, 2
// s, 4 s, …, less a random part of up to a half.
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
