package server

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A Store keeps sessions. Package storetest has the test suite that every
// implementation must pass; the stores that come with Tandem are in the folders
// beside it.
//
// All methods are safe for concurrent use. When the context ends, a call returns
// the context's error; the caller then does not know whether the store has made
// the change. When a call returns no error, its change is durable: it survives a
// crash of the process and of the machine, as far as the settings of the
// database allow. Text is valid UTF-8 without NUL bytes.
type Store interface {
	// Create adds a session. It returns [store.ErrExists] if the ID is taken.
	Create(ctx context.Context, session store.Session) error

	// Get returns a session, ended or not, or [store.ErrNotFound].
	Get(ctx context.Context, id rotation.SessionID) (store.Session, error)

	// Confirm makes to the session's current token and at its ConfirmedAt, in one
	// atomic step, if three conditions hold: the generation of to is higher than that
	// of the session's current token, nothing has ended the session, and the
	// session's ExpiresAt is after at. It reports whether it did so, and returns the
	// session as it is now. Of several concurrent calls with one generation exactly
	// one succeeds. It returns [store.ErrNotFound] if there is no such session.
	Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error)

	// End ends a session and returns true. If the session has already ended or does
	// not exist, End changes nothing and returns true as well; the first end keeps its
	// reason and time. If end.If is set, End compares it with the session's current
	// token and ends the session in one atomic step; if the session lives and its
	// current token is another, End changes nothing and returns false.
	End(ctx context.Context, id rotation.SessionID, end store.End) (bool, error)

	// EndSubject ends all sessions of a subject that nothing has ended yet, and
	// returns how many it has ended.
	EndSubject(ctx context.Context, subject string, reason rotation.EndReason, at time.Time) (int, error)

	// List returns one page of the sessions of a subject that nothing has ended,
	// newest first. If it returns fewer than the page's Limit, the page is the last one.
	// Sessions past their ExpiresAt may be included.
	List(ctx context.Context, subject string, page store.Page) ([]store.Session, error)

	// Sweep deletes sessions that ended or expired before over, and sessions that
	// nothing has ended and whose ConfirmedAt is before idle. It returns how many it
	// has deleted. A call may leave some for the next one: to find the idle ones it
	// looks at a bounded number of sessions, and the next call goes on from there. It
	// need not delete, nor count, sessions that the store deletes by itself.
	Sweep(ctx context.Context, over, idle time.Time) (int, error)

	// Ping reports whether the store can be read and written.
	Ping(ctx context.Context) error
}

// An EndedStore is a [Store] that lists the sessions that have ended. It is optional: without
// it, the server has no feed of them. Package storetest has the test suite. The method is
// safe for concurrent use.
type EndedStore interface {
	// Ended returns the sessions that something has ended at or after a time, in any order.
	// A session may be missing for some seconds after the time of its end, which is when the
	// end was decided. Sessions that have only expired are not included.
	Ended(ctx context.Context, since time.Time) ([]store.Session, error)
}

// A OnceStore is a [Store] that remembers what may be used once, such as a ticket. It is
// optional: without it, the server gives no tickets. Package storetest has the test suite.
//
// Both methods are safe for concurrent use.
type OnceStore interface {
	// PutOnce adds a key and keeps it until the given time, or longer. It reports
	// whether the store did not have the key. Of several concurrent calls with one key
	// exactly one returns true. If it returns an error, the store may have added the key.
	// Keys are valid UTF-8 of 1 to 255 bytes without NUL bytes.
	PutOnce(ctx context.Context, key string, until time.Time) (fresh bool, err error)

	// SweepOnce deletes keys whose time is before the given time, and returns how many it
	// has deleted. It may leave some for the next call. A store that deletes such keys by
	// itself returns 0.
	SweepOnce(ctx context.Context, before time.Time) (int, error)
}
