package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tandem-auth/tandem/internal/retryafter"
	"github.com/tandem-auth/tandem/rotation"
)

// The error codes on the wire: those of RFC 6749 section 5.2 and RFC 6750
// section 3.1 where they fit.
const (
	codeInvalidRequest = "invalid_request"
	codeInvalidGrant   = "invalid_grant"
	codeInvalidToken   = "invalid_token"
	codeInvalidClient  = "invalid_client"
	codeInvalidScope   = "invalid_scope"
	codeInvalidTarget  = "invalid_target" // RFC 8707 section 2

	codeUnauthorizedClient = "unauthorized_client"
	codeGrantType          = "unsupported_grant_type"
	codeStale              = "stale_refresh_token"
	codeSlowDown           = "slow_down"
	codeUnavailable        = "temporarily_unavailable"
	codeServerError        = "server_error"
	codeNotFound           = "not_found"
	codeNotAllowed         = "method_not_allowed"
	codeTooLarge           = "request_too_large"
	codeMediaType          = "unsupported_media_type"
	codeTimeout            = "request_timeout"

	codeCookieMissing   = "cookie_missing"
	codeForbiddenOrigin = "forbidden_origin"
	codeInvalidTicket   = "invalid_ticket"
)

// The reasons on the wire that are not a [rotation.EndReason].
const (
	reasonMalformed          = "malformed"
	reasonInvalidCredentials = "invalid_credentials"
)

// A problem is an error in the form that the client receives. Only the log shows its
// cause.
type problem struct {
	status      int
	Code        string `json:"error"`
	Description string `json:"error_description"`
	Reason      string `json:"reason,omitempty"`

	challenge  string
	retryAfter time.Duration
	close      bool
	cause      error
}

func (p *problem) Error() string {
	if p.cause != nil {
		return p.cause.Error()
	}
	return p.Code + ": " + p.Description
}

func (p *problem) Unwrap() error { return p.cause }

func invalidRequest(format string, args ...any) *problem {
	return &problem{
		status:      http.StatusBadRequest,
		Code:        codeInvalidRequest,
		Description: fmt.Sprintf(format, args...),
	}
}

func notFound(description string) *problem {
	return &problem{status: http.StatusNotFound, Code: codeNotFound, Description: description}
}

// unavailable returns the problem for a store or a directory that failed while doing
// something. The client may try again a moment later.
func unavailable(doing string, cause error) *problem {
	return &problem{
		status:      http.StatusServiceUnavailable,
		Code:        codeUnavailable,
		Description: "the server cannot answer right now; try again",
		retryAfter:  time.Second,
		cause:       fmt.Errorf("%s: %w", doing, cause),
	}
}

func refused(reason string) *problem {
	return &problem{
		status:      http.StatusBadRequest,
		Code:        codeInvalidGrant,
		Description: explain(reason),
		Reason:      reason,
	}
}

// isRefusal reports whether an error says that a session has ended or is unknown.
func isRefusal(err error) bool {
	p, ok := errors.AsType[*problem](err)
	return ok && p.Code == codeInvalidGrant
}

func explain(reason string) string {
	switch reason {
	case string(rotation.SignedOut):
		return "the session was signed out"
	case string(rotation.Revoked):
		return "the session was revoked"
	case string(rotation.ReuseDetected):
		return "the session was ended: two parties used its refresh tokens"
	case string(rotation.Expired):
		return "the session has expired"
	case reasonMalformed:
		return "this is not a refresh token"
	default:
		return "this server does not know the refresh token or its session"
	}
}

// fail answers with an error, and logs its cause, which only the operator may see.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	if !errors.As(err, &p) {
		p = &problem{
			status:      http.StatusInternalServerError,
			Code:        codeServerError,
			Description: "the server failed",
			cause:       err,
		}
	}
	if p.cause != nil && r.Context().Err() == nil {
		s.cfg.Logger.LogAttrs(r.Context(), slog.LevelError, "request failed",
			slog.String("method", r.Method),
			slog.String("path", r.URL.Path),
			slog.Int("status", p.status),
			slog.Any("error", p.cause))
	}
	if state := requestStateOf(r.Context()); state != nil && state.mayChange() && p.Code == codeInvalidGrant {
		state.outcome = "refused" // the token is malformed or unknown, or its user is gone
	}
	header := w.Header()
	if p.challenge != "" {
		header.Set("WWW-Authenticate", p.challenge)
	}
	if p.retryAfter > 0 {
		header.Set(retryafter.Name, retryafter.Format(p.retryAfter))
	}
	if p.close {
		header.Set("Connection", "close")
	}
	s.respond(w, r, p.status, p)
}

// respond answers with JSON.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		s.cfg.Logger.ErrorContext(r.Context(), "cannot marshal an answer", "error", err)
		status, text = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)+1))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	if _, err := w.Write(append(text, '\n')); err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "cannot write an answer to the client", "error", err)
	}
}

// done answers with 204 No Content.
func done(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(http.StatusNoContent)
}
