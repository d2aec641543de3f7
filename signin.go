package tandem

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"
)

// SignIn begins a new session with a user's name and password, in place of the
// one that was kept, if there was one: that one is forgotten, not signed out.
//
// The error is [ErrInvalidCredentials], a [*TemporaryError] (with RetryAt set if
// the server said when to try again), the store's, the context's, or says what else the
// server has against it.
func (s *Session) SignIn(ctx context.Context, username, password string) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.config.Refresher != nil {
		return errors.New("sign in: there is a Config.Refresher, whose server knows no names and passwords; take SignInWith")
	}
	begun := s.config.Now()
	pair, err := s.auth.signIn(ctx, username, password)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return s.begin(ctx, pair, begun)
}

// SignInWith begins a new session with tokens that the program has got by itself, from
// an authorization code, a device code, or from where they were kept so far: in place
// of the session that was kept, if there was one. The username tells two users apart:
// a request that one of them began is never sent as the other. A grant without an
// access token will do: the first request then refreshes.
//
// It is for sessions with a [Config.Refresher]. The error says what is wrong with the
// grant, or is the store's.
func (s *Session) SignInWith(ctx context.Context, username string, grant Grant) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.config.Refresher == nil {
		return errors.New("sign in: SignInWith is for sessions with a Config.Refresher; this one's server signs in with SignIn")
	}
	now := s.config.Now()
	pair := Pair{SessionID: rand.Text(), Username: username, RefreshToken: grant.RefreshToken, ReceivedAt: now, ExpiresAt: now}
	if grant.AccessToken != "" || !isVisible(grant.RefreshToken) {
		var err error
		if pair, err = grant.apply(pair, now); err != nil {
			return fmt.Errorf("sign in: %w", err)
		}
	}
	return s.begin(ctx, pair, now)
}

func (s *Session) begin(ctx context.Context, pair Pair, begun time.Time) error {
	if err := s.overwrite(ctx, pair); err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	s.tell(ctx, s.took(EventSignIn, pair.SessionID, begun, nil))
	return nil
}

// overwrite makes pair the session, whatever was before.
func (s *Session) overwrite(ctx context.Context, pair Pair) error {
	if _, err := s.replaceKept(ctx, pair); err != nil {
		return err
	}
	c := s.newCredential(pair)
	s.mu.Lock()
	s.live.Store(c)
	s.ended, s.unsaved, s.failure = nil, nil, failure{}
	s.mu.Unlock()

	s.follow(ctx, c)
	return nil
}

// follow gives up c, which this session has just put in use, if the store keeps
// something else: of two calls at once, the one that the store has stands.
func (s *Session) follow(ctx context.Context, c *credential) {
	kept, err := s.store.Load(ctx)
	switch {
	case err != nil || kept.IsZero():
		return
	case c == nil:
		s.takeUp(kept)
		return
	case kept.RefreshToken == c.RefreshToken:
		return
	}
	s.live.CompareAndSwap(c, s.newCredential(kept))
}

// mostRaces is how many other writers replaceKept lets come between.
const mostRaces = 50

// replaceKept makes the store keep next, and returns what it kept before. It goes on
// until no other writer comes between, or ctx ends. A store that fails may have done it.
func (s *Session) replaceKept(ctx context.Context, next Pair) (Pair, error) {
	for range mostRaces {
		kept, err := s.store.Load(ctx)
		if err != nil {
			return Pair{}, fmt.Errorf("load the session: %w", err)
		}
		swapped, err := s.store.CompareAndSwap(ctx, kept, next)
		if err != nil {
			if now, loadErr := s.store.Load(ctx); loadErr == nil && now.same(next) {
				return kept, nil
			}
			return Pair{}, fmt.Errorf("keep the session: %w", err)
		}
		if swapped {
			return kept, nil
		}
	}
	return Pair{}, fmt.Errorf("keep the session: %w", errFickle)
}
