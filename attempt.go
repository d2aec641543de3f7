package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// replace replaces the credential f.from with a newer one from the store or a fresh one
// from the server. It makes up to maxAttempts attempts while errors are temporary. It
// reads the store before each attempt: without a lock another process may have refreshed;
// presenting the token that it replaced looks like theft and ends the session. The error
// is an *EndedError, an *OtherServerError or a *TemporaryError.
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

// prepare has the keeper decide which refresh token the session presents. If done is true,
// it presents none: it has adopted a usable pair, or a sign-in or sign-out has replaced
// the pair in use.
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
		if unsaved { // no other process has this pair
			s.discard(ctx, live.Pair)
		}
		s.stats.ends.Add(1)
		return p, false, end
	case err != nil && !errors.As(err, &other):
		return p, false, &TemporaryError{Err: err}
	}
	return p, false, err
}

// keep has the keeper store the next pair, then use it. Closing the session does not
// interrupt that: a pair that the server has given out must not be lost. If the pair came
// with an error, keep stores it all the same and returns a *TemporaryError.
func (s *Session) keep(f *flight, p presentation, next Pair, err error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	if err != nil { // keep the access token that is in use
		next.AccessToken, next.ReceivedAt, next.ExpiresAt = p.live.AccessToken, p.live.ReceivedAt, p.live.ExpiresAt
	}
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
		return nil // waiters look again for the pair in use
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

// discard revokes a pair that arrived after its session was signed out, if the server is
// strict: only this process knows the pair. A forgiving server has ended the whole
// session.
func (s *Session) discard(ctx context.Context, p Pair) {
	revoker, ok := s.refresher.(Revoker)
	if !ok || s.keeper.server == renewal.Forgiving || s.keeper.live.Load() != nil {
		return
	}
	_ = revoker.Revoke(ctx, p.RefreshToken)
}

// refused has the keeper read the store once more before the session believes the server's
// verdict.
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
		return nil // SignOut or SignIn has replaced the session meanwhile
	}
	s.stats.ends.Add(1)
	return end
}

// fetch presents a pair to the server once. If the refresher returns a refresh token with
// an error, fetch returns a pair with that refresh token and the old access token.
func (s *Session) fetch(presented Pair) (Pair, error) {
	ctx, cancel := s.fetchContext()
	defer cancel()
	grant, err := s.refresher.Refresh(ctx, presented)
	if end, ok := errors.AsType[*EndedError](err); ok && end.SessionID != "" && end.SessionID != presented.SessionID {
		err = errors.New(err.Error()) // the end of another session, which the refresher itself uses
	}
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

// fetchContext bounds one attempt. At a forgiving server the client can repeat an attempt
// that Close cuts short; a strict server may have spent the only refresh token.
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
	//nolint:errorlint // the text around a wrapped TemporaryError must stay
	if temporary, ok := err.(*TemporaryError); ok {
		err = temporary.Err
	}
	return &TemporaryError{RetryAt: retryAt, Err: err}
}

// lockNotice is after how long a refresh that waits for the store's lock reports
// EventLockWait.
const lockNotice = 2 * time.Second

// lockStore takes the store's lock, if the store is a Locker. If locking fails or the
// holder hangs, the session refreshes without the lock at a forgiving server.
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

// lockTimeout is how long the session waits for the lock: for one attempt at a forgiving
// server, where two refreshes at once do no harm; at a strict one for longer than the
// holder's attempts take together.
func (s *Session) lockTimeout() time.Duration {
	attempt := s.config.RefreshTimeout + maxPause
	if s.keeper.server == renewal.Forgiving {
		return attempt
	}
	return (maxAttempts + 1) * attempt
}

// saveLater has the keeper store the pair that the store has failed to keep. It tries
// again until the store keeps it, or the session is closed: Close makes the last attempt.
func (s *Session) saveLater() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saving || s.closed.Load() {
		return
	}
	s.saving = true
	s.tasks.Go(func() {
		for count := 1; sleep(s.ctx, s.backOff(count)); count++ {
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

// storeContext bounds calls to the store; Close does not end them.
func (s *Session) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), s.config.RefreshTimeout)
}
