package tandem

import (
	"context"
	"errors"
	"slices"

	"github.com/tandem-auth/tandem/rotation"
)

// SignOut ends the session: here first, so that it is signed out whatever
// happens next, then at the server, where there is a way to tell it (see [Revoker]).
// A refresh under way is void. Without a session it does nothing.
//
// If the server could not be told, the error is a [*TemporaryError]; calling
// SignOut again tells it again.
func (s *Session) SignOut(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	begun, last := s.config.Now(), s.giveUp()
	removed, storeErr := s.replaceKept(ctx, Pair{})
	if removed.IsZero() && last != nil {
		removed = last.Pair
	}

	s.mu.Lock()
	if !removed.IsZero() {
		s.ended = &EndedError{SessionID: removed.SessionID, Reason: rotation.SignedOut}
		if s.unsaved != nil && s.unsaved.prev.same(removed) {
			removed = s.refreshWith(*s.unsaved)
		}
		s.revoke = append(s.revoke, removed.RefreshToken)
	}
	s.live.Store(nil)
	s.unsaved = nil
	untold := slices.Clone(s.revoke)
	s.mu.Unlock()
	s.follow(ctx, nil)

	if len(untold) == 0 {
		return storeErr
	}
	err := s.tellServer(ctx, untold)
	s.tell(ctx, s.took(EventSignOut, removed.SessionID, begun, err))
	if err != nil {
		err = &untoldError{err}
	}
	return errors.Join(storeErr, err)
}

// giveUp takes the credential out of use, so that a refresh under way does not take the
// end that SignOut makes for news, and returns it.
func (s *Session) giveUp() *credential {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.live.Swap(nil)
	if last != nil {
		s.ended = &EndedError{SessionID: last.SessionID, Reason: rotation.SignedOut}
	}
	return last
}

// An untoldError is of a sign-out that the server has not heard of.
type untoldError struct{ err error }

// Error says what to do. What a TemporaryError says of the session's life would be odd
// here.
func (e *untoldError) Error() string {
	err := e.err
	if temporary, ok := errors.AsType[*TemporaryError](err); ok && temporary.Err != nil {
		err = temporary.Err
	}
	return "signed out here, but the server does not know yet (call SignOut again): " + err.Error()
}

func (e *untoldError) Unwrap() error { return e.err }

// tellServer tells the server of sign-outs. One that it could not be told of is kept for
// the next time, one that it does not want to hear of is not.
func (s *Session) tellServer(ctx context.Context, refreshTokens []string) error {
	ctx, cancel := context.WithTimeout(ctx, maxAttempts*(s.config.RefreshTimeout+maxPause))
	defer cancel()
	var errs []error
	for _, token := range refreshTokens {
		var err error
		if revoker, ok := s.refresher.(Revoker); ok {
			err = revoker.Revoke(ctx, token)
			errs = append(errs, err)
		}
		if _, temporary := errors.AsType[*TemporaryError](err); temporary || ctx.Err() != nil {
			continue
		}
		s.mu.Lock()
		s.revoke = slices.DeleteFunc(s.revoke, func(t string) bool { return t == token })
		s.mu.Unlock()
	}
	return errors.Join(errs...)
}
