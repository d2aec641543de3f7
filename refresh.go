package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
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

// An unsaved pair is in use, but the store has failed to keep it in place of
// prev.
type unsaved struct{ prev, next Pair }

// during marks the context of an OnEnd callback: a call made with it must not
// wait for the flight that waits for the callback.
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
	case s.flight != nil && ctx.Value(during{s}) == nil:
		return s.flight, nil
	case c == nil && s.ended != nil:
		return nil, s.ended
	case c == nil:
		return nil, ErrNotSignedIn
	case s.flight != nil:
		return nil, &TemporaryError{Err: errors.New("OnEnd has not returned yet")}
	}
	if s.failure.err != nil && s.config.Now().Before(s.failure.err.RetryAt) {
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
	recentlyFailed := s.failure.err != nil && s.config.Now().Before(s.failure.err.RetryAt)
	if s.closed.Load() || s.flight != nil || recentlyFailed || s.live.Load() != c {
		return
	}
	s.take(ctx, c)
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

	f.err = s.replace(f)
	end, ended := errors.AsType[*EndedError](f.err)
	if ended && s.conclude(f.from, end) {
		f.note(s, EventEnd, end)
	} else {
		ended = false
		land()
	}
	s.log(f.ctx, f.news...)
	// The callbacks are the application's code, and may call Close: what Close
	// waits for is over here.
	release()
	s.observe(f.ctx, f.news...)
	if ended && s.config.OnEnd != nil {
		s.config.OnEnd(context.WithValue(s.ctx, during{s}, true), s, end)
	}
}

// land takes the flight away, remembers how it went and lets all waiters go.
func (s *Session) land(f *flight) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.flight = nil
	if now := s.live.Load(); now != nil && now.AccessToken != f.from.AccessToken && now.usable(s.config.Now()) {
		f.err = nil // whatever happened: there is what the waiters wait for
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

// replace puts another credential in the place of f.from: a newer one of the store,
// or a fresh one of the server. What may pass is tried again, at most maxAttempts
// times in all. The store is read before each attempt: where it cannot be locked,
// another session may have got on meanwhile, and a token that was overtaken long
// ago looks stolen. The error is an *EndedError or a *TemporaryError.
func (s *Session) replace(f *flight) error {
	unlock, err := s.lockStore()
	if err != nil {
		return &TemporaryError{Err: err}
	}
	defer unlock()

	for attempt := 1; ; attempt++ {
		kept, adopted, err := s.newest(f)
		if adopted || err != nil {
			return err
		}
		next, err := s.fetch(kept)
		if !next.IsZero() {
			return s.keep(f, kept, next, err)
		}
		var end *EndedError
		switch {
		case errors.As(err, &end):
			return s.lastLook(f, kept, &EndedError{SessionID: kept.SessionID, Reason: cmp.Or(end.Reason, rotation.Unknown)})
		case errors.Is(err, errStale):
			return s.lastLook(f, kept, &TemporaryError{Err: err})
		case attempt == maxAttempts || !pause(s.ctx, s.config.Jitter, attempt, retryAfter(err, s.config.Now())):
			return s.temporary(err)
		}
	}
}

// temporary makes the error of a refresh that may succeed later.
func (s *Session) temporary(err error) *TemporaryError {
	now := s.config.Now()
	retryAt := now.Add(retryAfter(err, now))
	//nolint:errorlint // one that is wrapped in more words keeps them
	if temporary, ok := err.(*TemporaryError); ok {
		err = cmp.Or(temporary.Err, errors.New("the refresher gave no reason"))
	}
	return &TemporaryError{RetryAt: retryAt, Err: err}
}

// newest returns the pair to refresh, unless the store has another than that of
// f.from that is good still: then it is adopted.
func (s *Session) newest(f *flight) (_ Pair, adopted bool, _ error) {
	c := f.from
	kept, err := s.loadKept(c)
	switch {
	case err != nil:
		return Pair{}, false, &TemporaryError{Err: err}
	case kept.IsZero():
		return Pair{}, false, &EndedError{SessionID: c.SessionID, Reason: rotation.SignedOut}
	case !kept.same(c.Pair):
		if newer := s.newCredential(kept); newer.usable(s.config.Now()) {
			s.adoptFrom(f, newer)
			return Pair{}, true, nil
		}
	}
	return kept, false, nil
}

// adoptFrom uses what another session of the store has fetched.
func (s *Session) adoptFrom(f *flight, newer *credential) {
	if s.live.CompareAndSwap(f.from, newer) {
		f.note(s, EventAdopt, nil)
	}
}

// keep stores the pair that replaces kept, then uses it. The store comes first
// and does not end with the session: a pair that was given out must not be lost, not
// even if it came with an error, of which keep makes a *TemporaryError.
func (s *Session) keep(f *flight, kept, next Pair, err error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	prev := s.saved(kept)
	swapped, storeErr := s.store.CompareAndSwap(ctx, prev, next)
	if storeErr == nil && !swapped {
		return s.lastLook(f, kept, &EndedError{SessionID: f.from.SessionID, Reason: rotation.SignedOut})
	}
	c := s.newCredential(next)
	c.invalid.Store(err != nil && f.from.invalid.Load())
	used := s.live.CompareAndSwap(f.from, c)
	switch {
	case storeErr == nil:
		s.setUnsaved(nil)
	case used:
		s.setUnsaved(&unsaved{prev: prev, next: next})
	}
	if storeErr != nil {
		f.note(s, EventStoreFailed, storeErr)
	}
	if err != nil {
		return s.temporary(err)
	}
	s.stats.refreshes.Add(1)
	f.note(s, EventRefresh, nil)
	return nil
}

// lastLook looks into the store once more before verdict, which was said of
// used, is taken as the end: the winner of a race may have been there. If the
// verdict stands and is the end, the pair goes; nobody else's does.
func (s *Session) lastLook(f *flight, used Pair, verdict error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	kept, err := s.store.Load(ctx)
	if err != nil {
		return &TemporaryError{Err: fmt.Errorf("load the session: %w", err)}
	}
	saved := s.saved(used)
	if !kept.IsZero() && kept.RefreshToken != saved.RefreshToken {
		s.adoptFrom(f, s.newCredential(kept))
		return nil
	}
	if _, ok := errors.AsType[*EndedError](verdict); ok {
		if _, err := s.store.CompareAndSwap(ctx, saved, Pair{}); err != nil {
			f.note(s, EventStoreFailed, err)
		}
	}
	return verdict
}

// loadKept returns what the store keeps; if it has failed to keep the pair in
// use, that pair.
func (s *Session) loadKept(c *credential) (Pair, error) {
	ctx, cancel := s.storeContext()
	defer cancel()
	kept, err := s.store.Load(ctx)
	saved := s.saved(c.Pair)
	switch {
	case !saved.same(c.Pair) && (err != nil || kept.same(saved)):
		return c.Pair, nil
	case err != nil:
		return Pair{}, fmt.Errorf("load the session: %w", err)
	}
	return kept, nil
}

// saved returns the pair that the store has in the place of p: p itself, unless
// the store has failed to keep it.
func (s *Session) saved(p Pair) Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsaved != nil && s.unsaved.next.same(p) {
		return s.unsaved.prev
	}
	return p
}

func (s *Session) setUnsaved(u *unsaved) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsaved = u
}

// lockStore takes the store's lock, if it has one. The wait is longer than
// anybody's refresh takes.
func (s *Session) lockStore() (unlock func(), err error) {
	locker, ok := s.store.(Locker)
	if !ok {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, (maxAttempts+1)*(s.config.RefreshTimeout+maxPause))
	defer cancel()
	unlock, err = locker.Lock(ctx)
	if err != nil {
		return nil, fmt.Errorf("wait for the store's lock: %w", err)
	}
	return unlock, nil
}

// storeContext bounds calls to the store; Close does not end them.
func (s *Session) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), s.config.RefreshTimeout)
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
