package server

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// An EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	// EventSignedIn: a session began.
	EventSignedIn EventKind = "signed_in"

	// EventSignInFailed: the name or the password was wrong.
	EventSignInFailed EventKind = "sign_in_failed"

	// EventSignInLimited: a sign-in exceeded a limit; the directory did not check
	// the password.
	EventSignInLimited EventKind = "sign_in_limited"

	// EventSignInRefused: too many sign-ins were waiting for their turn; the
	// directory did not check the password.
	EventSignInRefused EventKind = "sign_in_refused"

	// EventRefreshed: a client presented a refresh token for the first time, and
	// the server confirmed it.
	EventRefreshed EventKind = "refreshed"

	// EventRefreshRetried: a client presented the current refresh token again, for
	// example after a lost reply.
	EventRefreshRetried EventKind = "refresh_retried"

	// EventRefreshStale: the server refused a delayed duplicate of an older refresh
	// token. The session goes on.
	EventRefreshStale EventKind = "refresh_stale"

	// EventRefreshRefused: the session has ended or is unknown, or the refresh token
	// has expired. Reason says which. If the refresh token has expired,
	// EventSessionEnded follows.
	EventRefreshRefused EventKind = "refresh_refused"

	// EventReuseDetected: two parties hold the session. EventSessionEnded follows.
	EventReuseDetected EventKind = "reuse_detected"

	// EventStoreWentBack: a refresh token proves that the store has lost
	// confirmations. EventRefreshed follows.
	EventStoreWentBack EventKind = "store_went_back"

	// EventSessionEnded: a session was signed out or revoked, or the server ended it
	// for reuse or because the refresh token had expired. An event without a Session
	// is about all sessions of the subject.
	EventSessionEnded EventKind = "session_ended"
)

// An Event is something that an operator may want to count, log or act upon.
// It never carries a token or a password. It never carries the name of a failed
// sign-in either, because people sometimes type their password there.
type Event struct {
	Kind EventKind

	// Session is zero if the event is not about one session.
	Session rotation.SessionID

	// Subject is empty if the user is not known. For a failed or refused sign-in it
	// is the user whose name the client gave, if the directory is a [SubjectFinder]
	// and has a user of that name.
	Subject string

	// Reason is set for EventSessionEnded and EventRefreshRefused.
	Reason rotation.EndReason

	Time time.Time

	// IP is the client's address, or empty if there is none. See [Config]
	// TrustedProxies.
	IP string

	// RequestID is the ID of the request; see [RequestID].
	RequestID string
}
