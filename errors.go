package tandem

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// Errors of a [Session]. Through an [http.Client] they arrive inside a
// [net/url.Error]: use [errors.Is] and [errors.As].
var (
	// ErrNotSignedIn: there is no session yet; call [Session.SignIn].
	ErrNotSignedIn = errors.New("not signed in")
	// ErrInvalidCredentials: the server knows no such user with that password.
	ErrInvalidCredentials = errors.New("wrong user name or password")
	// ErrUserChanged: another user signed in while the request was under way. It
	// was not sent, or not sent again, in the other user's name.
	ErrUserChanged = errors.New("another user has signed in since the request began")
	// ErrClosed: [Session.Close] was called.
	ErrClosed = errors.New("session is closed")
)

// An EndedError reports that the session has ended for good: its user, its
// policy or a thief ended it. Signing in again begins a new one.
type EndedError struct {
	// SessionID names the session that ended.
	SessionID string
	// Reason is why, as the server said; [rotation.Unknown] if it didn't.
	Reason rotation.EndReason
	// Err is what the server answered, such as a [*ServerError] whose Code tells
	// interaction_required from invalid_grant; nil if the end was not the server's.
	Err error
}

// Error says why the session ended.
func (e *EndedError) Error() string {
	text := fmt.Sprintf("session has ended (%s): sign in again", e.Reason)
	if e.Reason == rotation.Unknown && e.Err != nil {
		text += " (" + e.Err.Error() + ")"
	}
	return text
}

// Unwrap returns Err.
func (e *EndedError) Unwrap() error { return e.Err }

// A ServerError is an answer of a sign-in, refresh or revocation endpoint that says no
// (RFC 6749 section 5.2). [errors.As] finds it in a [*TemporaryError] and in an
// [*EndedError]: the first says that the session lives on, the second that it doesn't,
// and the ServerError what the server has against it. A program can tell by its Code
// what to do, such as to send the user to the browser for interaction_required.
//
// Its texts are the server's, made fit for a terminal: no control characters, nothing
// invisible, no token or secret of the request, and each of 200 characters at most.
type ServerError struct {
	// Status is the HTTP status. Some servers name an error with status 200.
	Status int
	// Code is the "error" of the answer: one of RFC 6749 section 5.2, such as
	// invalid_grant, invalid_client, unauthorized_client or invalid_scope; of OpenID
	// Connect Core section 3.1.2.6, such as interaction_required, login_required or
	// consent_required; or a word of the server's own. Empty if the answer names none,
	// or could not be read in full.
	Code string
	// Description and URI are what the server tells people: error_description and
	// error_uri. They may be empty.
	Description, URI string
	// RetryAfter is how long the server asked to wait (RFC 9110 section 10.2.3), at
	// most five minutes; 0 if it didn't.
	RetryAfter time.Duration

	reason string // why a session has ended, in the words of Tandem's server
}

// Error says what the server answered.
func (e *ServerError) Error() string {
	text := fmt.Sprintf("server answered %d %s", e.Status, cmp.Or(e.Code, http.StatusText(e.Status)))
	if e.Description != "" {
		text += ": " + e.Description
	}
	return text
}

// temporary reports whether the same call may be answered otherwise later.
func (e *ServerError) temporary() bool {
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests ||
		e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooEarly
}

// definitive reports whether the server itself has said its last word: a redirect is
// the answer of something in between.
func (e *ServerError) definitive() bool {
	redirect := e.Status >= http.StatusMultipleChoices && e.Status < http.StatusBadRequest
	return e.Code != "" && !redirect && !e.temporary()
}

// An OtherServerError reports that the store has a session of another server than
// the session's own: somebody has signed in there since. Nothing of it is presented or
// deleted. [Session.SignIn] puts a session of the own server in its place; if the server
// has only moved, name its old address in Config.FormerIssuers.
type OtherServerError struct {
	// Want is the session's own server, Have the one that gave out what is stored.
	Want, Have string
}

// Error names both servers.
func (e *OtherServerError) Error() string {
	return fmt.Sprintf("the stored session belongs to %s, not to %s: sign in again, or use another place for it", e.Have, e.Want)
}

// A TemporaryError reports that no access token is to be had just now, though
// the session lives on: the server could not be reached, was busy, or answered
// with something that is no answer. Trying again later is right.
type TemporaryError struct {
	// RetryAt is when the session will ask the server again at the earliest.
	// Until then, every call that needs a refresh gets this same error.
	RetryAt time.Time
	// Err is what went wrong.
	Err error
}

// Error says what went wrong.
func (e *TemporaryError) Error() string {
	const text = "no access token just now, the session lives on"
	if e.Err == nil {
		return text
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns what went wrong.
func (e *TemporaryError) Unwrap() error { return e.Err }

// A BodyNotReplayableError reports that a request's access token was refused, and
// that its body could be read only once, so that it could not be sent again. A
// refresh has been done: making the request anew, with a new body, is right.
// Setting [http.Request.GetBody] avoids the error.
type BodyNotReplayableError struct {
	// Response is the answer to the request, such as a 401. Its body is in memory,
	// cut at 64 KiB; closing it is not needed.
	Response *http.Response
}

// Error says that the request can be made anew.
func (e *BodyNotReplayableError) Error() string {
	return "access token was refused and the request's body can be read only once: make the request anew, the token has been refreshed"
}
