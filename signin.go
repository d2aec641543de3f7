package tandem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// SignIn begins a new session with a user's name and password. It replaces a session that
// the store has, without signing that one out at the server. It shows the server the
// refresh token of that session, if the session is of the same server: the user then gets
// through while others guess the user's password.
//
// The error is [ErrInvalidCredentials], a [*TemporaryError] (with RetryAt set if the
// server said when to try again), [ErrClosed], the store's, the context's, or another
// answer of the server, as a [*ServerError].
func (s *Session) SignIn(ctx context.Context, username, password string) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.server == nil {
		return errors.New("sign in: there is a Config.Refresher, whose server knows no names and passwords; take SignInWith")
	}
	begun := s.config.Now()
	pair, err := s.server.signIn(ctx, username, password, s.earlierToken(ctx))
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return s.begin(ctx, pair, begun)
}

// earlierToken returns the refresh token that the store has, or "" if there is none, it is
// of another server, or the store fails.
func (s *Session) earlierToken(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	stored, err := s.keeper.load(ctx)
	if err != nil || !s.keeper.owns(stored) {
		return ""
	}
	return stored.RefreshToken
}

// SignInWith begins a new session with tokens that the program has got by itself: from an
// authorization code, a device code, or an earlier place of storage. It replaces a session
// that the store has. The username tells users apart: the session never sends a request
// that one user began on behalf of another. A grant without an access token is enough: the
// first request then refreshes.
//
// It is for sessions with a [Config.Refresher]. The error says what is wrong with the
// grant, is [ErrClosed], or is the store's.
func (s *Session) SignInWith(ctx context.Context, username string, grant Grant) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.server != nil {
		return errors.New("sign in: SignInWith is for sessions with a Config.Refresher; this one's server signs in with SignIn")
	}
	now := s.config.Now()
	pair := Pair{SessionID: rand.Text(), Username: username, RefreshToken: grant.RefreshToken, ReceivedAt: now, ExpiresAt: now}
	if grant.AccessToken != "" || !isRefreshToken(grant.RefreshToken) {
		var err error
		if pair, err = grant.apply(pair, now); err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
	}
	return s.begin(ctx, pair, now)
}

// begin stores pair, then makes it the session in place of any other.
func (s *Session) begin(ctx context.Context, pair Pair, begun time.Time) error {
	pair.Issuer, pair.Revision = s.config.Issuer, 1
	bounded, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	replaced, err := s.keeper.swapStored(bounded, pair)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	c := s.newCredential(pair)
	if !s.keeper.begin(c, replaced) {
		return fmt.Errorf("sign in: %w", &EndedError{SessionID: c.SessionID, Reason: rotation.SignedOut})
	}
	s.mu.Lock()
	s.failure = failure{}
	s.mu.Unlock()
	s.keeper.yieldToStore(bounded, c)
	s.tell(ctx, s.took(EventSignIn, pair.SessionID, begun, nil))
	return nil
}

// SignOut ends the session: first on the client, so that the user is signed out there
// whatever the server answers, then at the server, if the refresher is a [Revoker]. It
// discards the result of a refresh under way. Without a session it does nothing.
//
// If SignOut could not tell the server, the error is a [*TemporaryError]; calling SignOut
// again tells the server then.
func (s *Session) SignOut(ctx context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	begun, last := s.config.Now(), s.keeper.giveUp()
	bounded, cancel := context.WithTimeout(ctx, s.config.RefreshTimeout)
	defer cancel()
	signedOut, storeErr := s.keeper.swapStored(bounded, Pair{})
	if signedOut.IsZero() || signedOut.SessionID == last.SessionID && !signedOut.decided().NewerThan(last.decided()) {
		signedOut = last // the store lacked the live pair
	}

	s.mu.Lock()
	if !signedOut.IsZero() {
		s.revoke = append(s.revoke, signedOut.RefreshToken)
	}
	untold := slices.Clone(s.revoke)
	s.mu.Unlock()
	if !signedOut.IsZero() {
		s.keeper.noteSignedOut(signedOut.SessionID)
	}
	s.keeper.yieldToStore(bounded, nil)

	if len(untold) == 0 {
		return storeErr
	}
	err := s.tellServer(ctx, untold)
	s.tell(ctx, s.took(EventSignOut, signedOut.SessionID, begun, err))
	if err != nil {
		err = &untoldError{err}
	}
	return errors.Join(storeErr, err)
}

// An untoldError reports a sign-out that the server does not know of.
type untoldError struct{ err error }

// Error says what to do. It leaves out the text of a TemporaryError, which says that the
// session lives on.
func (e *untoldError) Error() string {
	err := e.err
	if temporary, ok := errors.AsType[*TemporaryError](err); ok && temporary.Err != nil {
		err = temporary.Err
	}
	return "signed out here, but the server does not know yet (call SignOut again): " + err.Error()
}

func (e *untoldError) Unwrap() error { return e.err }

// tellServer tells the server of sign-outs. If the server is unreachable, the session
// tells it again at the next SignOut; if the server has refused, it does not.
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
