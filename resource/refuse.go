package resource

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/tandem-auth/tandem/accesstoken"
)

// Codes of RFC 6750 section 3.1.
const (
	codeInvalidRequest    = "invalid_request"
	codeInvalidToken      = "invalid_token"
	codeInsufficientScope = "insufficient_scope"
	codeUnavailable       = "temporarily_unavailable"
)

// retryAfter is what a client is asked to wait for while the keys cannot be fetched, in
// seconds.
const retryAfter = "2"

var errEnded = errors.New("the session has ended")

// A RefusedError says why a request is not passed on.
type RefusedError struct {
	// Status is that of the answer: 400, 401, 403 or 503.
	Status int
	// Code is that of RFC 6750 section 3.1, temporarily_unavailable with the status 503, or
	// empty if the request has no token.
	Code string
	// Description says what is wrong, for people who develop clients.
	Description string

	scopes []string
	cause  error
}

func (e *RefusedError) Error() string {
	if e.Description == "" {
		return "the request has no access token"
	}
	return e.Description
}

func (e *RefusedError) Unwrap() error { return e.cause }

func refused(description string, cause error) *RefusedError {
	return &RefusedError{Status: http.StatusUnauthorized, Code: codeInvalidToken, Description: description, cause: cause}
}

// refusal says what is wrong with a token that was not verified.
func refusal(err error) *RefusedError {
	switch {
	case errors.Is(err, errNoKeys):
		return &RefusedError{
			Status: http.StatusServiceUnavailable, Code: codeUnavailable, Description: "the keys of the issuer cannot be fetched", cause: err,
		}
	case errors.Is(err, accesstoken.ErrExpired):
		return refused("the access token has expired", err)
	case errors.Is(err, accesstoken.ErrMalformed):
		return refused("the access token is malformed", err)
	case errors.Is(err, accesstoken.ErrAudience):
		return refused("the access token is for another API", err)
	case errors.Is(err, accesstoken.ErrUnknownKey):
		return refused("the access token is signed with an unknown key", err)
	}
	return refused("the access token is not valid", err)
}

// Refuse answers a request as an error of [Guard.Authenticate] asks for: with the status,
// the challenge of RFC 6750 section 3, and the code and the description in JSON. It answers
// every other error with 500.
func (g *Guard) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	e, ok := errors.AsType[*RefusedError](err)
	if !ok {
		http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
		return
	}
	header := w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("Content-Type", "application/json")
	header.Set("X-Content-Type-Options", "nosniff")
	if e.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	} else {
		header.Set("WWW-Authenticate", g.Challenge(e))
	}
	w.WriteHeader(e.Status)
	body := struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{e.Code, e.Error()}
	if body.Error == "" {
		body.Error = codeInvalidToken
	}
	_ = json.NewEncoder(w).Encode(body)
}

// Challenge returns the WWW-Authenticate challenge of an error (RFC 6750 section 3). For a
// request without a token it names no error. It names the API's metadata, if it has any
// (RFC 9728 section 5.1).
func (g *Guard) Challenge(e *RefusedError) string {
	parts := []string{fmt.Sprintf("realm=%q", g.config.Issuer)}
	if e.Code != "" {
		parts = append(parts, fmt.Sprintf("error=%q", e.Code), fmt.Sprintf("error_description=%q", e.Description))
	}
	if len(e.scopes) > 0 {
		parts = append(parts, fmt.Sprintf("scope=%q", strings.Join(e.scopes, " ")))
	}
	if g.metadata.url != "" {
		parts = append(parts, fmt.Sprintf("resource_metadata=%q", g.metadata.url))
	}
	return "Bearer " + strings.Join(parts, ", ")
}
