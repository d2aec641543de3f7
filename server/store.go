package server

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A Store keeps sessions. Package storetest has the suite that every
// implementation must pass; the stores that come with Tandem are in the folders
// beside it.
//
// All methods are safe for concurrent use. A cancelled context ends a call with
// the context's error; whether what it asked for was done is then not known.
// What a call returned without an error is durable: it survives a crash of the
// process and of the machine, as far as the settings of its engine go. Text is
// valid UTF-8 without NUL bytes.
type Store interface {
	// Create adds a session. It returns [store.ErrExists] if the ID is taken.
	Create(ctx context.Context, session store.Session) error

	// Get returns a session, ended or not, or [store.ErrNotFound].
	Get(ctx context.Context, id rotation.SessionID) (store.Session, error)

	// Confirm makes to the session's current token, confirmed at the given time, if
	// the session's generation is lower than that of to, nothing has ended the
	// session and its ExpiresAt is after at: one atomic step. It reports whether it
	// did, and what has become of the session. Of several calls at once with one
	// generation, one succeeds. It returns [store.ErrNotFound] if there is no such
	// session.
	Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error)

	// End ends a session. The first end stands: ending an ended session changes
	// nothing and is no error, nor is ending one that is not there.
	End(ctx context.Context, id rotation.SessionID, reason rotation.EndReason, at time.Time) error

	// EndSubject ends all sessions of a subject that nothing has ended yet, and
	// returns how many those were.
	EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error)

	// List returns the sessions of a subject that nothing has ended, newest first,
	// of which the page says how many and from where on. With fewer than its Limit
	// the list ends. Those past their ExpiresAt may still be among them.
	List(ctx context.Context, subject string, page store.Page) ([]store.Session, error)

	// Sweep removes sessions that ended or expired before the given time, and
	// returns how many those were. It may leave some for the next call. A store
	// that forgets such sessions by itself returns 0.
	Sweep(ctx context.Context, before time.Time) (int, error)

	// Ping reports whether the store can be read and written.
	Ping(ctx context.Context) error
}
