package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// An Access is what a request's access token says; see [accesstoken.Claims].
type Access = accesstoken.Claims

type accessKey struct{}

// FromContext returns whose request it is, inside a handler that
// [Server.RequireSession] guards.
func FromContext(ctx context.Context) (Access, bool) {
	access, ok := ctx.Value(accessKey{}).(Access)
	return access, ok
}

// RequireSession guards a handler of the program's own: it lets requests pass
// whose access token is good and whose session lives, and answers the others
// with 401, or with 503 where it cannot tell because the store is away. Unlike a guard elsewhere it looks at the session, so signing out
// works at once. [FromContext] has the rest.
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

// authorize returns whose request it is, once token and session are checked.
func (s *Server) authorize(r *http.Request) (Access, error) {
	access, err := s.bearer(r)
	if err != nil {
		return Access{}, err
	}
	session, err := s.cfg.Store.Get(r.Context(), access.SessionID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return Access{}, s.endedAccess(rotation.Unknown)
	case err != nil:
		return Access{}, unavailable("get the session of an access token", err)
	case session.Subject != access.Subject:
		return Access{}, s.endedAccess(rotation.Unknown)
	}
	if reason, ended := session.Ended(s.now()); ended {
		return Access{}, s.endedAccess(reason)
	}
	return access, nil
}

// bearer returns what the request's access token says, but does not look at the
// session.
func (s *Server) bearer(r *http.Request) (Access, error) {
	token, err := parseBearer(r.Header.Values("Authorization"))
	if errors.Is(err, errNoBearer) {
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

var (
	errNoBearer  = errors.New("no bearer token")
	errBadBearer = errors.New("malformed bearer token")
)

// parseBearer returns the token of the Authorization header fields (RFC 6750
// section 2.1). Another scheme counts as no token; errBadBearer is for a token
// that cannot be one, and for several.
func parseBearer(fields []string) (string, error) {
	if len(fields) > 1 {
		return "", errBadBearer
	}
	if len(fields) == 0 {
		return "", errNoBearer
	}
	scheme, token, _ := strings.Cut(strings.TrimLeft(fields[0], " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", errNoBearer
	}
	token = strings.Trim(token, " \t")
	if !isToken68(token) {
		return "", errBadBearer
	}
	return token, nil
}

// isToken68 checks the syntax of RFC 9110 section 11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	if s == "" {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
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

// challenge is the bare challenge of RFC 6750 section 3. It is never that of
// Basic, at which browsers open a window.
func (s *Server) challenge() string { return fmt.Sprintf(`Bearer realm=%q`, s.cfg.Issuer) }
