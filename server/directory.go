package server

import (
	"context"
	"errors"
)

// ErrInvalidCredentials is what a [Directory] returns for a name that it does
// not know and for a password that is wrong: the same for both.
var ErrInvalidCredentials = errors.New("wrong username or password")

// ErrUserGone is what a [Refresher] returns for a user who is not there any more, or
// may not be signed in any more.
var ErrUserGone = errors.New("the user may not be signed in any more")

// An Identity is a user as the directory knows them.
type Identity struct {
	// Subject names the user for good, whatever becomes of Username: the "sub"
	// claim. It must not be empty.
	Subject string

	// Username is what the user types to sign in and likes to see: the
	// "preferred_username" claim. It may be empty.
	Username string

	// Scope is what the user's access tokens may be used for, separated by
	// spaces: the "scope" claim (RFC 6749 section 3.3). It may be empty.
	Scope string

	// Version stands for the credentials that the user has shown. It is for the
	// directory itself: see [Revalidator]. It may be empty.
	Version string
}

// A Directory knows the users and their passwords. It is safe for concurrent
// use.
type Directory interface {
	// Authenticate returns the user whose name and password these are, or
	// [ErrInvalidCredentials]. It should take as long for a name that it does not
	// know as for a wrong password. Any other error means that it could not tell:
	// the client is asked to try again. The context ends after 10 seconds.
	Authenticate(ctx context.Context, username, password string) (Identity, error)
}

// A Revalidator is a [Directory] that can say whether a user is still there, and
// still has the credentials that were shown. It is optional. With it, a sign-in
// that is under way while the user's password is changed and the user's sessions
// are ended does not leave a session behind.
type Revalidator interface {
	// StillValid reports whether what Authenticate returned still holds. The context
	// ends after 10 seconds.
	StillValid(ctx context.Context, identity Identity) (bool, error)
}

// A Bounded is a [Directory] that says how many passwords it checks at once. It is
// optional. The server sends it no more than that, and lets the others wait in a
// queue in which networks and users take turns.
type Bounded interface {
	// Concurrency returns how many calls of Authenticate are worked on at once, at
	// least 1.
	Concurrency() int
}

// A SubjectFinder is a [Directory] that can say whose name a name is. It is
// optional. With it, the events of sign-ins that came to nothing say which user
// somebody tried to be.
type SubjectFinder interface {
	// SubjectOf returns the subject of the user of that name, or "" if there is none.
	// It should take as long for the one as for the other.
	SubjectOf(ctx context.Context, username string) (string, error)
}

// A Refresher is a [Directory] that is asked again at every refresh of a session. It is
// optional.
//
// Without it, the server does not learn what becomes of a user: a session goes on, with
// the username and the scope that the user had at sign-in, until its SessionTTL is over
// or somebody ends it. A program whose directory is none calls [Server.EndSubject] when
// it disables a user, takes a permission away or changes a password.
//
// With it, access tokens have what the user may do at the time of the refresh, and those
// of a disabled user end with the last of them: AccessTTL later at the latest. For an
// end at once, call [Server.EndSubject] here too.
type Refresher interface {
	// Refresh returns the user as the directory knows them now. Of the identity it is
	// given the Subject, and the Username and Scope of the sign-in. It returns
	// [ErrUserGone] if the session is to end. Any other error means that it could not
	// tell: the client is asked to try again, and the session lives. It has 5 seconds.
	Refresh(ctx context.Context, identity Identity) (Identity, error)
}
