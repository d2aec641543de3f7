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
	// ErrNotSignedIn: no user is signed in; call [Session.SignIn].
	ErrNotSignedIn = errors.New("not signed in")
	// ErrInvalidCredentials: the server knows no such user with that password.
	ErrInvalidCredentials = errors.New("wrong user name or password")
	// ErrUserChanged: another user signed in while the request was under way. The session
	// did not send the request, or did not repeat it, on behalf of that other user.
	ErrUserChanged = errors.New("another user has signed in since the request began")
	// ErrClosed: [Session.Close] was called.
	ErrClosed = errors.New("session is closed")
)

// An EndedError reports that the session has ended for good: its user, its policy or a
// thief ended it. The user has to sign in again.
type EndedError struct {
	// SessionID names the session that ended.
	SessionID string
	// Reason is why the session ended, in the server's words; [rotation.Unknown] if the
	// server gave no reason.
	Reason rotation.EndReason
	// Err is the server's answer, such as a [*ServerError] whose Code tells
	// interaction_required from invalid_grant; nil if the end did not come from the
	// server.
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

// A ServerError is an error answer of a sign-in, refresh or revocation endpoint (RFC 6749
// section 5.2). [errors.As] finds it in a [*TemporaryError], with which the session lives
// on, and in an [*EndedError]. The program can decide by its Code what to do, such as to
// send the user to the browser for interaction_required.
//
// Its texts are the server's, made safe for a terminal: without control or invisible
// characters, without the tokens and secrets of the request, and at most 200 characters
// each.
type ServerError struct {
	// Status is the HTTP status. Some servers name an error with status 200.
	Status int
	// Code is the "error" of the answer: a code of RFC 6749 section 5.2, such as
	// invalid_grant, invalid_client, unauthorized_client or invalid_scope; of OpenID
	// Connect Core section 3.1.2.6, such as interaction_required, login_required or
	// consent_required; or one of the server's own. It is empty if the answer has none, or
	// the client could not read the whole answer.
	Code string
	// Description and URI are error_description and error_uri, which the server addresses
	// to people. They may be empty.
	Description, URI string
	// RetryAfter is how long the server asked the client to wait (RFC 9110 section
	// 10.2.3), at most five minutes; 0 if the server did not ask.
	RetryAfter time.Duration

	reason string // why the session ended, if Tandem's server said so
}

// Error says what the server answered.
func (e *ServerError) Error() string {
	text := fmt.Sprintf("server answered %d %s", e.Status, cmp.Or(e.Code, http.StatusText(e.Status)))
	if e.Description != "" {
		text += ": " + e.Description
	}
	return text
}

// temporary reports whether the server may answer the same call differently later.
func (e *ServerError) temporary() bool {
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests ||
		e.Status == http.StatusRequestTimeout || e.Status == http.StatusTooEarly
}

// definitive reports whether the answer is the server's final decision. A redirect is not:
// a proxy or a captive portal may have sent it.
func (e *ServerError) definitive() bool {
	redirect := e.Status >= http.StatusMultipleChoices && e.Status < http.StatusBadRequest
	return e.Code != "" && !redirect && !e.temporary()
}

// An OtherServerError reports that the store has a pair of another server than the
// session's: somebody has signed in there since. The session neither presents nor deletes
// that pair. [Session.SignIn] replaces it with a session of the session's own server; if
// that server has only moved, name its old address in Config.FormerIssuers.
type OtherServerError struct {
	// Want is the session's own server; Have is the server that gave out the stored pair.
	Want, Have string
}

// Error names both servers.
func (e *OtherServerError) Error() string {
	return fmt.Sprintf("the stored session belongs to %s, not to %s: sign in again, or use another place for it", e.Have, e.Want)
}

// A TemporaryError reports that the session cannot get an access token at the moment but
// lives on: the server was unreachable or busy, or gave an unusable answer, or the store
// failed. The program should try again later.
type TemporaryError struct {
	// RetryAt is the earliest time at which the session will ask the server again. Until
	// then, every call that needs a refresh returns this same error.
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

// A BodyNotReplayableError reports that the API refused a request's access token, and that
// the session could not send the request again because its body can be read only once. The
// session has refreshed, so the program should make the request anew, with a new body.
// Setting [http.Request.GetBody] avoids the error.
type BodyNotReplayableError struct {
	// Response is the answer to the request, such as a 401. Its body is in memory, cut at
	// 64 KiB; the program need not close it.
	Response *http.Response
}

// Error says that the request can be made anew.
func (e *BodyNotReplayableError) Error() string {
	return "access token was refused and the request's body can be read only once: make the request anew, the token has been refreshed"
}
