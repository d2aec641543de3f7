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

	// EventSignInLimited: too many sign-ins; the password was not looked at.
	EventSignInLimited EventKind = "sign_in_limited"

	// EventSignInRefused: too many sign-ins were waiting for their turn; the password
	// was not looked at.
	EventSignInRefused EventKind = "sign_in_refused"

	// EventRefreshed: a refresh token was used for the first time.
	EventRefreshed EventKind = "refreshed"

	// EventRefreshRetried: the current refresh token was used again, as happens
	// when a reply is lost.
	EventRefreshRetried EventKind = "refresh_retried"

	// EventRefreshStale: a delayed duplicate of an older refresh token was
	// refused. The session lives.
	EventRefreshStale EventKind = "refresh_stale"

	// EventRefreshRefused: the session has ended or is not known, or the refresh
	// token came too late. Reason says which. In the last case EventSessionEnded goes
	// with it.
	EventRefreshRefused EventKind = "refresh_refused"

	// EventReuseDetected: two parties held the session. EventSessionEnded goes
	// with it.
	EventReuseDetected EventKind = "reuse_detected"

	// EventStoreWentBack: a refresh token proved a state later than the store's,
	// which has therefore lost confirmations. EventRefreshed goes with it.
	EventStoreWentBack EventKind = "store_went_back"

	// EventSessionEnded: a session was signed out, revoked, ended for reuse, or ended
	// because a refresh came too late.
	// Without a Session, it stands for all of the subject's.
	EventSessionEnded EventKind = "session_ended"
)

// An Event is something that an operator may want to count, log or act upon.
// It never carries a token or a password, nor the name that a failed sign-in
// gave: people type passwords there.
type Event struct {
	Kind EventKind

	// Session is zero where there is none, or where the event is about all of
	// them.
	Session rotation.SessionID

	// Subject is empty where the user is not known. With a sign-in that came to
	// nothing it is the user whose name was given, if the directory is a
	// [SubjectFinder] and there is one.
	Subject string

	// Reason goes with EventSessionEnded and EventRefreshRefused.
	Reason rotation.EndReason

	Time time.Time

	// IP is where the request came from. See [Config] TrustedProxies.
	IP string
}
