package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// A flight is the one refresh under way. Its goroutine belongs to the session, not to
// any of the callers that wait: they may leave.
type flight struct {
	from  *credential
	ctx   context.Context // has the values of the request that started the refresh
	begun time.Time
	done  chan struct{}
	err   error   // valid once done is closed
	news  []Event // told once the refresh is over, when no lock is held
}

// note adds to the news what has just happened.
func (f *flight) note(s *Session, kind EventKind, err error) {
	f.news = append(f.news, s.took(kind, f.from.SessionID, f.begun, err))
}

// A failure is remembered for a while, so that a thousand callers do not make a
// thousand refreshes in a row.
type failure struct {
	err   *TemporaryError
	at    time.Time
	count int // in a row
}

// holds reports whether it is too early for another refresh.
func (f failure) holds(now time.Time) bool { return f.err != nil && within(now, f.at, f.err.RetryAt) }

// inCallbackOf marks the context of a callback with the flight that waits for it: a call
// made with it must not wait for that flight.
type inCallbackOf struct{ session *Session }

// credential returns one that may be sent: usable, and not refused, if that is
// given. It refreshes first if need be: what a refresh gives is not held against the
// refused one, even if it is the same again.
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

// adopt takes up what the store keeps, when there is no pair in use.
func (s *Session) adopt(ctx context.Context) error {
	adopted, err := s.keeper.adopt(ctx)
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
	}
}

// join returns the flight to wait for; without one, why there is nothing to wait
// for: nil if c has been replaced already.
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

// startAhead starts a refresh in the background, unless one is under way or the
// latest has only just failed.
func (s *Session) startAhead(ctx context.Context, c *credential) {
	now := s.config.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() || s.flight != nil || s.failure.holds(now) || s.keeper.live.Load() != c {
		return
	}
	s.startRefresh(ctx, c, now)
}

// lookEvery is how often the store is read while a failure is remembered.
const lookEvery = time.Second

// mayLook reports whether err is a failure while which the store is worth a look:
// another session of it may have refreshed.
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

// look takes up a pair that the store has in the place of c, and reports whether it is
// good.
func (s *Session) look(ctx context.Context, c *credential) bool {
	adopted, _, err := s.keeper.reload(ctx, c)
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

// runRefresh refreshes, tells the application if the session has ended, and finishes: in
// a defer, so that not even a panic leaves anyone waiting.
func (s *Session) runRefresh(f *flight) {
	release := sync.OnceFunc(s.tasks.Done)
	defer release()
	finish := sync.OnceFunc(func() { s.finish(f) })
	defer finish()

	f.err = &TemporaryError{Err: errors.New("the refresher has ended its goroutine")} // if it does
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
	// The callbacks are the application's code, and may call Close: what Close
	// waits for is over here.
	release()
	s.observe(ctx, f.news...)
	if ended && s.config.OnEnd != nil {
		s.config.OnEnd(context.WithValue(s.ctx, inCallbackOf{s}, f), s, end)
	}
}

// finish takes the flight away, remembers how it went and lets all waiters go.
func (s *Session) finish(f *flight) {
	now := s.config.Now()
	live := s.keeper.live.Load()
	if live != nil && (live.SessionID != f.from.SessionID || live.AccessToken != f.from.AccessToken && live.usable(now)) {
		f.err = nil // a usable token or a new session is there: waiters go on
	}
	_, ended := errors.AsType[*EndedError](f.err)
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

// replace puts another credential in the place of f.from: a newer one of the store,
// or a fresh one of the server. What may pass is tried again, at most maxAttempts
// times in all. The store is read before each attempt: without a lock another process
// may have refreshed, and presenting the token that it replaced looks like theft and ends
// the session. The error is an *EndedError, an *OtherServerError or a *TemporaryError.
func (s *Session) replace(f *flight) error {
	unlock, err := s.lockStore(f)
	if err != nil {
		return &TemporaryError{Err: err}
	}
	defer unlock()

	live := f.from
	for attempt := 1; ; attempt++ {
		p, done, err := s.prepare(f, live)
		if done || err != nil {
			return err
		}
		live = p.live
		next, err := s.fetch(p.pair)
		if !next.IsZero() {
			return s.keep(f, p, next, err)
		}
		var end *EndedError
		var no *ServerError
		switch {
		case errors.As(err, &end):
			reason := cmp.Or(end.Reason, rotation.Unknown)
			return s.refused(f, p, renewal.Ended, &EndedError{SessionID: p.pair.SessionID, Reason: reason, Err: end.Err})
		case errors.Is(err, ErrStale):
			return s.refused(f, p, renewal.Stale, &TemporaryError{Err: err})
		case errors.As(err, &no) && no.definitive(), attempt == maxAttempts || !pause(s.ctx, s.config.Jitter, attempt, retryAfter(err, s.config.Now())):
			return s.temporary(err)
		}
	}
}

// prepare decides what is presented. done says that nothing is: the store has a pair that
// is good, or the one in use was replaced by a sign-in or sign-out.
func (s *Session) prepare(f *flight, live *credential) (_ presentation, done bool, _ error) {
	ctx, cancel := s.storeContext()
	defer cancel()
	p, adopted, err := s.keeper.prepare(ctx, live)
	if adopted {
		f.note(s, EventAdopt, nil)
	}
	var other *OtherServerError
	var end *EndedError
	switch {
	case errors.Is(err, errReplaced), err == nil && adopted && p.pair.IsZero():
		return p, true, nil
	case errors.As(err, &end):
		unsaved := s.keeper.unsavedError() != nil
		if !s.keeper.markEnded(live, end) {
			return p, true, nil
		}
		if unsaved { // nobody else has it
			s.discard(ctx, live.Pair)
		}
		s.stats.ends.Add(1)
		return p, false, end
	case err != nil && !errors.As(err, &other):
		return p, false, &TemporaryError{Err: err}
	}
	return p, false, err
}

// keep has the keeper store and use the next pair. The store comes first and does not
// end with the session: a pair that was given out must not be lost, not even if it came
// with an error, of which keep makes a *TemporaryError.
func (s *Session) keep(f *flight, p presentation, next Pair, err error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	c := s.newCredential(next)
	c.invalid.Store(err != nil && p.live.invalid.Load())
	c.fetched = err == nil
	became, storeErr := s.keeper.keep(ctx, p, c)
	switch became {
	case overtaken:
		f.note(s, EventAdopt, nil)
		return nil
	case discarded:
		s.discard(ctx, next)
		return nil // waiters find out what is there instead
	case inUse:
		if storeErr != nil {
			f.note(s, EventStoreFailed, storeErr)
			s.saveLater()
		}
	}
	if err != nil {
		return s.temporary(err)
	}
	s.stats.refreshes.Add(1)
	f.note(s, EventRefresh, nil)
	return nil
}

// discard tells a strict server of a pair that came when its session had been signed
// out: nobody else knows that it is there. A forgiving server has ended the session.
func (s *Session) discard(ctx context.Context, p Pair) {
	revoker, ok := s.refresher.(Revoker)
	if live := s.keeper.live.Load(); !ok || s.keeper.server == renewal.Forgiving || live != nil && live.SessionID == p.SessionID {
		return
	}
	_ = revoker.Revoke(ctx, p.RefreshToken)
}

// refused has the keeper look into the store once more before verdict is taken for true.
func (s *Session) refused(f *flight, p presentation, answer renewal.Answer, verdict error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	step, forgetErr, err := s.keeper.refused(ctx, p, answer)
	if forgetErr != nil {
		f.note(s, EventStoreFailed, forgetErr)
	}
	switch {
	case err != nil:
		return &TemporaryError{Err: err}
	case step == renewal.Adopt:
		f.note(s, EventAdopt, nil)
		return nil
	case step != renewal.End:
		return verdict
	}
	end, ok := errors.AsType[*EndedError](verdict)
	if !ok || !s.keeper.markEnded(p.live, end) {
		return nil // given up meanwhile, by SignOut or SignIn: that is no news
	}
	s.stats.ends.Add(1)
	return end
}

// fetch makes one attempt at a refresh. A refresh token that comes with an error is
// in the pair, beside the access token that there was.
func (s *Session) fetch(presented Pair) (Pair, error) {
	ctx, cancel := s.fetchContext()
	defer cancel()
	grant, err := s.refresher.Refresh(ctx, presented)
	var next Pair
	if err == nil {
		next, err = grant.apply(presented, s.config.Now())
	}
	if err != nil {
		_, ended := errors.AsType[*EndedError](err)
		if ended || !isRefreshToken(grant.RefreshToken) || grant.RefreshToken == presented.RefreshToken {
			return Pair{}, err
		}
		next = grant.rotate(presented, s.config.Now())
	}
	next.Issuer = cmp.Or(s.config.Issuer, presented.Issuer)
	return next, err
}

// fetchContext bounds one attempt. A forgiving server lets one that is cut short be made
// again; a strict one may have spent the only refresh token.
func (s *Session) fetchContext() (context.Context, context.CancelFunc) {
	ctx := s.fetchCtx
	if s.keeper.server == renewal.Strict {
		ctx = context.WithoutCancel(ctx)
	}
	return context.WithTimeout(ctx, s.config.RefreshTimeout)
}

// temporary makes the error of a refresh that may succeed later.
func (s *Session) temporary(err error) *TemporaryError {
	now := s.config.Now()
	retryAt := now.Add(retryAfter(err, now))
	//nolint:errorlint // one that is wrapped in more words keeps them
	if temporary, ok := err.(*TemporaryError); ok {
		err = temporary.Err
	}
	return &TemporaryError{RetryAt: retryAt, Err: err}
}

// lockNotice is how long a refresh waits for the store's lock before it says so.
const lockNotice = 2 * time.Second

// lockStore takes the store's lock, if it has one. A forgiving server lets a refresh go
// on without it, when it cannot be had or its holder hangs.
func (s *Session) lockStore(f *flight) (unlock func(), err error) {
	locker, ok := s.keeper.store.(Locker)
	if !ok {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.lockTimeout())
	defer cancel()
	notice := time.AfterFunc(lockNotice, func() {
		s.tell(context.WithValue(f.ctx, inCallbackOf{s}, f), Event{Kind: EventLockWait, SessionID: f.from.SessionID, Begun: f.begun, Duration: lockNotice})
	})
	defer notice.Stop()
	unlock, err = locker.Lock(ctx)
	switch {
	case err == nil:
		return unlock, nil
	case s.keeper.server == renewal.Forgiving && s.ctx.Err() == nil:
		return func() {}, nil
	}
	return nil, fmt.Errorf("wait for the store's lock: %w", err)
}

// lockTimeout is how long the lock's holder may take: at a forgiving server as long as
// one attempt, for two refreshes at once do no harm; at a strict one longer than all
// attempts together.
func (s *Session) lockTimeout() time.Duration {
	attempt := s.config.RefreshTimeout + maxPause
	if s.keeper.server == renewal.Forgiving {
		return attempt
	}
	return (maxAttempts + 1) * attempt
}

// saveLater has the keeper store what the store has failed to keep, again and again until
// it works or the session is closed.
func (s *Session) saveLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saving || s.closed.Load() {
		return
	}
	s.saving = true
	s.tasks.Go(func() {
		for count := 1; sleep(s.ctx, s.backOff(count)); count++ { // Close saves it, if it can
			live := s.keeper.live.Load()
			ctx, cancel := context.WithTimeout(s.fetchCtx, s.config.RefreshTimeout)
			err := s.keeper.flush(ctx)
			cancel()
			s.mu.Lock()
			over := err == nil && s.keeper.live.Load() == live
			s.saving = !over
			s.mu.Unlock()
			if over {
				return
			}
		}
	})
}

// sleep reports whether it slept for so long: it doesn't if ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
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
