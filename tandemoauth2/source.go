package tandemoauth2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/rotation"
)

// A Source is a [tandem.Refresher] that gets its tokens from an [oauth2.TokenSource],
// such as a source for client credentials, a device code or a cloud's metadata:
//
//	source := tandemoauth2.FromSource(config.TokenSource(ctx))
//	session, err := tandem.Open(ctx, store, tandem.Config{Refresher: source, Origins: …})
//	err = source.SignIn(ctx, session, "billing-service")
type Source struct {
	source oauth2.TokenSource

	mu      sync.Mutex
	pending chan struct{} // closed when the running call of the source ends
	token   *oauth2.Token
	err     error
}

// FromSource returns a refresher that calls source for every next token. A source that
// caches its token (oauth2.ReuseTokenSource, with which most constructors wrap theirs)
// returns the same token until it expires: the session then cannot recover from an API
// that refuses the token earlier.
func FromSource(source oauth2.TokenSource) *Source { return &Source{source: source} }

// noRefreshToken is the refresh token of a session whose source has none: the session
// calls the source instead of presenting a refresh token.
const noRefreshToken = "none"

// SignIn begins a session with a token of the source. The error is the source's, or
// that of [tandem.Session.SignInWith].
func (s *Source) SignIn(ctx context.Context, session *tandem.Session, username string) error {
	grant, err := s.Refresh(ctx, tandem.Pair{})
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	return session.SignInWith(ctx, username, grant)
}

// Refresh calls the source for a token. A source takes no context: if ctx ends while
// the source hangs, Refresh returns, and the next call gets what the source returns in
// the end.
func (s *Source) Refresh(ctx context.Context, pair tandem.Pair) (tandem.Grant, error) {
	pending := s.start()
	select {
	case <-pending:
	case <-ctx.Done():
		return tandem.Grant{}, ctx.Err()
	}
	token, err := s.take(pending)
	if err != nil {
		return tandem.Grant{}, explain(err, pair)
	}
	grant := Grant(token)
	grant.RefreshToken = cmp.Or(grant.RefreshToken, noRefreshToken)
	return grant, nil
}

// start calls the source in a goroutine, unless a call is running already.
func (s *Source) start() chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		pending := make(chan struct{})
		s.pending, s.token, s.err = pending, nil, nil
		go func() {
			defer close(pending)
			token, err := s.source.Token()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.token, s.err = token, err
		}()
	}
	return s.pending
}

// take returns the source's result, and lets the next Refresh call the source again.
func (s *Source) take(pending chan struct{}) (*oauth2.Token, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == pending {
		s.pending = nil
	}
	if s.token == nil && s.err == nil { // the source panicked
		return nil, errors.New("source returned neither a token nor an error")
	}
	return s.token, s.err
}

// explain returns what a source's error means. It leaves out the body of the token
// endpoint's answer, which [oauth2.RetrieveError] would print.
func explain(err error, pair tandem.Pair) error {
	refused, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		return err
	case refused.ErrorCode == "invalid_grant" && !isBusy(refused.Response):
		return &tandem.EndedError{SessionID: pair.SessionID, Reason: rotation.Unknown}
	case refused.Response == nil:
		return fmt.Errorf("token endpoint refused: %s", refused.ErrorCode)
	}
	return fmt.Errorf("token endpoint answered %d %s", refused.Response.StatusCode, refused.ErrorCode)
}

// isBusy reports whether the token endpoint may answer differently later.
func isBusy(resp *http.Response) bool {
	return resp != nil && (resp.StatusCode >= http.StatusInternalServerError ||
		resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusRequestTimeout)
}
