// Package audit keeps the record of who did what: sign-ins, ends of sessions, what
// administrators did, and changes of keys. A [Log] passes records on to the store of the
// server, to a file and to a webhook, each in order and at its own pace, so that no request
// waits for any of them.
//
// Records are kept in memory until each of the three has taken them. If the process is
// killed, those of the last moments may be missing; if one of the three fails for long, the
// log drops the oldest and counts them.
package audit

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// A Store keeps the records. The stores that come with Tandem implement it; package
// storetest has the test suite. Its methods are safe for concurrent use.
type Store interface {
	// AppendAudit adds records, all or none. When it returns no error, they are durable.
	AppendAudit(ctx context.Context, records []store.AuditRecord) error
	// Audit returns the records that a query selects, the oldest first.
	Audit(ctx context.Context, query store.AuditQuery) ([]store.AuditRecord, error)
	// SweepAudit deletes records from before a time, and returns how many. It may leave some
	// for the next call.
	SweepAudit(ctx context.Context, before time.Time) (int, error)
}

// The actions of records.
const (
	SignIn         = "sign_in"
	SessionEnd     = "session_end"
	RefreshRetry   = "refresh_retry"
	RefreshStale   = "refresh_stale"
	ReuseDetected  = "reuse_detected"
	StoreWentBack  = "store_went_back"
	UserAdd        = "user_add"
	UserRemove     = "user_remove"
	UserDisable    = "user_disable"
	UserEnable     = "user_enable"
	UserUnlock     = "user_unlock"
	UserRecover    = "user_recover"
	UserRoles      = "user_roles"
	PasswordChange = "password_change"
	KeyMade        = "key_made"
	KeyRotate      = "key_rotate"
	KeyRevoke      = "key_revoke"
	ClientAdd      = "client_add"
	ClientRemove   = "client_remove"
	AdminKeyAdd    = "admin_key_add"
	AdminKeyRemove = "admin_key_remove"
	AdminRefused   = "admin_refused"
	ServerStart    = "server_start"
	ServerStop     = "server_stop"
)

// The outcomes of records.
const (
	OK      = "ok"
	Failed  = "failed"  // a wrong name or password
	Limited = "limited" // too many sign-ins
	Refused = "refused"
)

// The actors of records that are no person or key of their own; see [store.AuditRecord].
const (
	ActorUser   = "user"
	ActorServer = "server"
)

// New returns a record of now with an ID.
func New(action, actor string) store.AuditRecord {
	return store.AuditRecord{ID: rand.Text(), Time: time.Now().UTC().Truncate(time.Millisecond), Action: action, Outcome: OK, Actor: actor}
}

// Of returns the record of an event of the server, and false for an event that is routine.
// Refreshes are routine unless something about them is odd: a session's generation counts
// them.
func Of(e server.Event) (store.AuditRecord, bool) {
	r := store.AuditRecord{
		ID: rand.Text(), Time: e.Time.UTC().Truncate(time.Millisecond), Outcome: OK, Actor: ActorUser, Subject: e.Subject,
		Reason: string(e.Reason), IP: e.IP, RequestID: e.RequestID,
	}
	if e.Session != (rotation.SessionID{}) {
		r.Session = e.Session.String()
	}
	switch e.Kind {
	case server.EventSignedIn:
		r.Action = SignIn
	case server.EventSignInFailed:
		r.Action, r.Outcome = SignIn, Failed
	case server.EventSignInLimited:
		r.Action, r.Outcome = SignIn, Limited
	case server.EventSignInRefused:
		r.Action, r.Outcome = SignIn, Refused
	case server.EventSessionEnded:
		r.Action = SessionEnd
		if e.Reason != rotation.SignedOut {
			r.Actor = ActorServer
		}
	case server.EventRefreshRetried:
		r.Action = RefreshRetry
	case server.EventRefreshStale:
		r.Action, r.Outcome = RefreshStale, Refused
	case server.EventReuseDetected:
		r.Action, r.Outcome, r.Actor = ReuseDetected, Refused, ActorServer
	case server.EventStoreWentBack:
		r.Action, r.Actor = StoreWentBack, ActorServer
	default:
		return store.AuditRecord{}, false
	}
	return r, true
}
