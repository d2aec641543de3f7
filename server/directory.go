package server

import (
	"context"
	"errors"
	"time"
)

// ErrInvalidCredentials is what a [Directory] returns both for an unknown name
// and for a wrong password.
var ErrInvalidCredentials = errors.New("wrong username or password")

// ErrUserGone is what a [Refresher] returns for a user who no longer exists or is no
// longer allowed to be signed in.
var ErrUserGone = errors.New("the user may not be signed in any more")

// An Identity is a user as a [Directory] describes them.
type Identity struct {
	// Subject identifies the user permanently, even if Username changes: the "sub"
	// claim. It must not be empty.
	Subject string

	// Username is the name that the user types to sign in and that programs show:
	// the "preferred_username" claim. It may be empty.
	Username string

	// Scope lists what the user's access tokens may be used for, separated by
	// spaces: the "scope" claim (RFC 6749 section 3.3). It may be empty.
	Scope string

	// Version identifies the credentials with which the user signed in. Only the
	// directory interprets it; see [Revalidator]. It may be empty.
	Version string
}

// A Directory knows the users and their passwords. It is safe for concurrent
// use.
type Directory interface {
	// Authenticate returns the user with this name and password, or
	// [ErrInvalidCredentials]. It should take as long for an unknown name as for a
	// wrong password. Any other error means that the directory could not check the
	// password; the server then asks the client to try again. The context ends
	// after 10 seconds.
	Authenticate(ctx context.Context, username, password string) (Identity, error)
}

// A Revalidator is a [Directory] that can tell whether a user still exists and
// still has the same credentials. It is optional. With it, a sign-in leaves no
// session behind if, while it is under way, somebody changes the user's password
// and ends the user's sessions.
type Revalidator interface {
	// StillValid reports whether an identity that Authenticate has returned is still
	// valid. The context ends after 10 seconds.
	StillValid(ctx context.Context, identity Identity) (bool, error)
}

// A Bounded is a [Directory] that says how many passwords it checks at once. It is
// optional. The server sends it no more than that, and lets the other sign-ins
// wait in a queue in which networks and users take turns.
type Bounded interface {
	// Concurrency returns how many calls of Authenticate the directory handles at
	// once, at least 1.
	Concurrency() int
}

// A SubjectFinder is a [Directory] that can look a user up by name. It is
// optional. With it, the events of failed and refused sign-ins carry the subject
// of the user whose name the client gave.
type SubjectFinder interface {
	// SubjectOf returns the subject of the user of that name, or "" if there is no
	// such user. It should take equally long in both cases. The context ends after
	// a second.
	SubjectOf(ctx context.Context, username string) (string, error)
}

// An Unlocker is a [Directory] whose operators can lift the limits on a user's sign-ins. It
// is optional. The server asks it about a user before it refuses a sign-in for a limit.
type Unlocker interface {
	// UnlockedAt returns when the limits on the user of that name were last lifted, or the
	// zero time, also for an unknown name. The context ends after a second.
	UnlockedAt(ctx context.Context, username string) (time.Time, error)
}

// A Refresher is a [Directory] that the server asks again at every refresh of a session.
// It is optional.
//
// Without it, the server does not notice changes to a user: a session keeps the username
// and the scope of the sign-in until its SessionTTL is over or somebody ends it. A
// program whose directory is not a Refresher calls [Server.EndSubject] when it disables a
// user, removes a permission or changes a password.
//
// With it, access tokens carry the user's scope at the time of the refresh, and a
// disabled user's session ends at the next refresh. An access token that the server
// issued before stays valid until it expires, at most AccessTTL later. To end sessions at
// once, call [Server.EndSubject] as well.
type Refresher interface {
	// Refresh returns the user's current identity. The identity passed in has the
	// Subject, and the Username and Scope of the sign-in. Refresh returns
	// [ErrUserGone] to end the session. Any other error means that the directory
	// could not tell; the server then asks the client to try again, and keeps the
	// session. The context ends after 5 seconds.
	Refresh(ctx context.Context, identity Identity) (Identity, error)
}
