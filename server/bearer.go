package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// An Access is the contents of a request's access token; see [accesstoken.Claims].
type Access = accesstoken.Claims

type accessKey struct{}

// FromContext returns the contents of the request's access token, inside a
// handler that [Server.RequireSession] guards. Elsewhere it returns false.
func FromContext(ctx context.Context) (Access, bool) {
	access, ok := ctx.Value(accessKey{}).(Access)
	return access, ok
}

// RequireSession guards one of the program's own handlers. It passes a request
// on if the access token is valid and its session has not ended. It answers 401
// otherwise, and 503 if it cannot reach the store to find out. Unlike package
// resource it reads the session for every request, so signing out takes effect at
// once. The handler calls [FromContext] to learn who sent the request.
func (s *Server) RequireSession(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, err := s.authorize(r)
		if err != nil {
			s.fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), accessKey{}, access)))
	})
}

// authorize checks the request's access token and its session, and returns the contents
// of the token.
func (s *Server) authorize(r *http.Request) (Access, error) {
	access, err := s.bearer(r)
	if err != nil {
		return Access{}, err
	}
	if err := s.checkSession(r.Context(), access); err != nil {
		return Access{}, err
	}
	return access, nil
}

// checkSession returns an error if the session of an access token has ended.
func (s *Server) checkSession(ctx context.Context, access Access) error {
	session, err := s.cfg.Store.Get(ctx, access.SessionID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return s.endedAccess(rotation.Unknown)
	case err != nil:
		return unavailable("get the session of an access token", err)
	case session.Subject != access.Subject:
		return s.endedAccess(rotation.Unknown)
	}
	if reason, ended := session.Ended(s.now()); ended {
		return s.endedAccess(reason)
	}
	return nil
}

// bearer checks the request's access token and returns its contents. It does not check
// the session.
func (s *Server) bearer(r *http.Request) (Access, error) {
	token, err := accesstoken.ParseBearer(r.Header.Values("Authorization"))
	if errors.Is(err, accesstoken.ErrNoBearer) {
		return Access{}, s.noToken()
	}
	if err != nil {
		return Access{}, s.badToken()
	}
	access, err := s.verifier.Verify(r.Context(), token)
	if p, ok := errors.AsType[*problem](err); ok {
		return Access{}, p
	}
	if err != nil {
		return Access{}, s.badToken()
	}
	return access, nil
}

func (s *Server) noToken() *problem {
	return &problem{
		status:      http.StatusUnauthorized,
		Code:        codeInvalidToken,
		Description: "an access token is required",
		challenge:   s.challenge(),
	}
}

func (s *Server) badToken() *problem {
	return s.refusedToken("the access token is expired, malformed or not ours", "")
}

func (s *Server) endedAccess(reason rotation.EndReason) *problem {
	return s.refusedToken("the session has ended", reason)
}

func (s *Server) refusedToken(description string, reason rotation.EndReason) *problem {
	return &problem{
		status:      http.StatusUnauthorized,
		Code:        codeInvalidToken,
		Description: description,
		Reason:      string(reason),
		challenge:   fmt.Sprintf(`%s, error=%q, error_description=%q`, s.challenge(), codeInvalidToken, description),
	}
}

// challenge returns the WWW-Authenticate challenge of RFC 6750 section 3, without error
// parameters. The server never sends a Basic challenge, because browsers show a password
// prompt for it.
func (s *Server) challenge() string { return fmt.Sprintf(`Bearer realm=%q`, s.cfg.Issuer) }
