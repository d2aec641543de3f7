package tandem

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/tandem-auth/tandem/rotation"
)

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
		at, adopted, err := s.newest(f)
		if adopted || err != nil {
			return err
		}
		at.use = s.notOutdated(at.use)
		next, err := s.use(at)
		if s.tooOld(f, at, err) {
			at.use = f.from.Pair
			next, err = s.use(at)
		}
		if !next.IsZero() {
			return s.keep(f, at, next, err)
		}
		var end *EndedError
		switch {
		case errors.As(err, &end):
			return s.lastLook(f, at, &EndedError{SessionID: at.use.SessionID, Reason: cmp.Or(end.Reason, rotation.Unknown), Err: end.Err})
		case errors.Is(err, ErrStale):
			return s.lastLook(f, at, &TemporaryError{Err: err})
		case attempt == maxAttempts || !pause(s.ctx, s.config.Jitter, attempt, retryAfter(err, s.config.Now())):
			return s.temporary(err)
		}
	}
}

// use makes one attempt at a refresh from at. At Tandem's own server a token that is
// used overtakes those before it; elsewhere a grant does.
func (s *Session) use(at position) (Pair, error) {
	if s.config.Refresher == nil {
		s.mu.Lock()
		s.overtaken.add(s.lastUsed, at.use)
		s.overtaken.add(at.kept, at.use)
		s.lastUsed = at.use
		s.mu.Unlock()
	}
	next, err := s.fetch(at.use)
	if s.config.Refresher != nil && !next.IsZero() {
		s.overtake(at.kept, next)
		s.overtake(at.use, next)
	}
	return next, err
}

// notOutdated returns p, or, if a later token has been used at Tandem's own server, that
// one: it may be used again.
func (s *Session) notOutdated(p Pair) Pair {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.config.Refresher == nil && s.overtaken.has(p) && s.lastUsed.SessionID == p.SessionID {
		return s.lastUsed
	}
	return p
}

// tooOld reports whether the token that the store has was too old to be used, while
// the one that it has failed to keep is not: then that one is the way on.
func (s *Session) tooOld(f *flight, at position, err error) bool {
	end, ended := errors.AsType[*EndedError](err)
	return ended && end.Reason == rotation.Expired && s.config.Refresher == nil && at.use.RefreshToken != f.from.RefreshToken
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

// A position is where a refresh begins: the pair that the store keeps, which the next
// one is to replace, and the pair whose refresh token is used. They differ after the
// store has failed to keep a pair, or has gone back to an older one.
type position struct{ kept, use Pair }

// newest returns where the next refresh begins, unless the store has another pair than
// that of f.from that is good still: then it is adopted.
func (s *Session) newest(f *flight) (_ position, adopted bool, _ error) {
	ctx, cancel := s.storeContext()
	defer cancel()
	c := f.from
	s.save(ctx)
	kept, err := s.store.Load(ctx)
	u := s.notSaved()
	switch {
	case err != nil:
		return position{}, false, &TemporaryError{Err: fmt.Errorf("load the session: %w", err)}
	case kept.IsZero():
		if u != nil {
			s.discard(ctx, u.next)
		}
		return position{}, false, &EndedError{SessionID: c.SessionID, Reason: rotation.SignedOut}
	case u != nil && u.next.same(c.Pair) && kept.same(u.prev) && (s.config.Refresher != nil || !s.outdated(u.used)):
		return position{kept: kept, use: s.refreshWith(*u)}, false, nil
	case s.outdated(kept):
		return position{kept: kept, use: c.Pair}, false, nil
	case !kept.same(c.Pair):
		if newer := s.newCredential(kept); newer.usable(s.config.Now()) {
			s.adoptFrom(f, newer)
			return position{}, true, nil
		}
		s.overtake(c.Pair, kept)
	}
	return position{kept: kept, use: kept}, false, nil
}

// adoptFrom uses what another session of the store has fetched.
func (s *Session) adoptFrom(f *flight, newer *credential) {
	if s.live.CompareAndSwap(f.from, newer) {
		s.overtake(f.from.Pair, newer.Pair)
		f.note(s, EventAdopt, nil)
	}
}

// keep stores the next pair, then uses it. The store comes first and does not end with
// the session: a pair that was given out must not be lost, not even if it came with an
// error, of which keep makes a *TemporaryError.
func (s *Session) keep(f *flight, at position, next Pair, err error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	other, swapped, storeErr := s.swap(ctx, at, next)
	switch {
	case storeErr != nil || swapped:
	case other.IsZero():
		s.discard(ctx, next)
		return &EndedError{SessionID: f.from.SessionID, Reason: rotation.SignedOut}
	default:
		s.adoptFrom(f, s.newCredential(other))
		return nil
	}
	c := s.newCredential(next)
	c.invalid.Store(err != nil && f.from.invalid.Load())
	c.fetched = err == nil
	used := s.live.CompareAndSwap(f.from, c)
	switch {
	case storeErr == nil:
		s.saved(at, next)
	case used:
		f.note(s, EventStoreFailed, storeErr)
		s.failedToSave(unsaved{prev: other, used: at.use, next: next})
	default: // signed out meanwhile
		s.discard(ctx, next)
	}
	if err != nil {
		return s.temporary(err)
	}
	s.stats.refreshes.Add(1)
	f.note(s, EventRefresh, nil)
	return nil
}

// discard tells the server of a pair that came when its session had been signed out:
// nobody else knows that it is there. Tandem's own server has ended the session.
func (s *Session) discard(ctx context.Context, next Pair) {
	if revoker, ok := s.config.Refresher.(Revoker); ok {
		_ = revoker.Revoke(ctx, next.RefreshToken)
	}
}

// lastLook looks into the store once more before verdict, which was said of at, is
// taken as the end: the winner of a race may have been there. If the verdict stands
// and is the end, the pair goes; nobody else's does.
func (s *Session) lastLook(f *flight, at position, verdict error) error {
	ctx, cancel := s.storeContext()
	defer cancel()
	_, ended := errors.AsType[*EndedError](verdict)
	for range maxAttempts {
		kept, err := s.store.Load(ctx)
		switch {
		case err != nil:
			return &TemporaryError{Err: fmt.Errorf("load the session: %w", err)}
		case kept.IsZero():
			return verdict
		case kept.RefreshToken != at.kept.RefreshToken && kept.RefreshToken != at.use.RefreshToken && !s.outdated(kept):
			s.adoptFrom(f, s.newCredential(kept))
			return nil
		case !ended:
			return verdict
		}
		swapped, err := s.store.CompareAndSwap(ctx, kept, Pair{})
		if err != nil {
			f.note(s, EventStoreFailed, err)
		}
		if swapped || err != nil {
			return verdict
		}
	}
	return &TemporaryError{Err: errFickle}
}

// lockStore takes the store's lock, if it has one. The wait is longer than anybody's
// refresh takes: whoever holds it then hangs. Tandem's own server forgives a refresh
// without it, then and if it cannot be had at all.
func (s *Session) lockStore() (unlock func(), err error) {
	locker, ok := s.store.(Locker)
	if !ok {
		return func() {}, nil
	}
	ctx, cancel := context.WithTimeout(s.ctx, (maxAttempts+1)*(s.config.RefreshTimeout+maxPause))
	defer cancel()
	unlock, err = locker.Lock(ctx)
	switch {
	case err == nil:
		return unlock, nil
	case s.config.Refresher == nil && s.ctx.Err() == nil:
		return func() {}, nil
	}
	return nil, fmt.Errorf("wait for the store's lock: %w", err)
}

// storeContext bounds calls to the store; Close does not end them.
func (s *Session) storeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(s.ctx), s.config.RefreshTimeout)
}
