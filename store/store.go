// Package store holds what all stores of sessions share: the rows that they keep and
// the errors that they return. The stores are in packages of their own; package server,
// which uses them, defines the interface.
package store

import (
	"errors"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// Errors that every store returns, possibly wrapped.
var (
	// ErrNotFound reports that there is no such row.
	ErrNotFound = errors.New("not found")
	// ErrExists reports that there is a row with that key already.
	ErrExists = errors.New("exists already")
)

// A Session is one sign-in. A store keeps it as one row for as long as it lasts, and
// its times to the millisecond.
type Session struct {
	ID rotation.SessionID
	rotation.State

	// Subject identifies the user that signed in, as the directory names them: the
	// "sub" claim.
	Subject string
	// Username is what the user typed to sign in: the "preferred_username" claim.
	// It may be empty.
	Username string
	// Scope is what the session's access tokens may be used for: the "scope"
	// claim (RFC 6749 section 3.3).
	Scope string
	// Device and IP help a person to recognise the session in a list: the device as the
	// client named it at the sign-in, and the address that the sign-in came from.
	Device string
	IP     string

	CreatedAt time.Time
}

// A Place is the position of a session in a list, which is sorted newest first.
// Sessions created at the same time are sorted by their IDs.
type Place struct {
	CreatedAt time.Time
	ID        rotation.SessionID
}

// Place returns the session's position.
func (s Session) Place() Place { return Place{CreatedAt: s.CreatedAt, ID: s.ID} }

// A Page selects a part of a list. The zero value selects all of it.
type Page struct {
	// After is the position of the last session of the previous page; that session need
	// not be in the list any more. The zero value is the beginning of the list.
	After Place
	// Limit is how many sessions the page has at most; 0 means no limit.
	Limit int
}

// A Confirmation is the result of an attempt to confirm a refresh token.
type Confirmation struct {
	// Session is the session as it is after the attempt.
	Session Session
	// Confirmed is whether the attempt confirmed the token.
	Confirmed bool
	// Previous is the session's generation before the attempt, if the attempt confirmed
	// the token.
	Previous uint32
}

// Before returns the state that the attempt found, as far as [rotation.Decide] needs
// it: for a token that is older than the presented one, the generation is enough.
func (c Confirmation) Before() rotation.State {
	state := c.Session.State
	if c.Confirmed {
		state.Current = rotation.Position{Generation: c.Previous}
	}
	return state
}

// An End says how to end a session.
type End struct {
	Reason rotation.EndReason
	At     time.Time
	// If is the session's current token at the time of the decision to end it. The session
	// ends only while that token is its current one: otherwise a client has refreshed it
	// since. Nil ends the session in any case.
	If *rotation.Position
}

// A User is an entry of the embedded directory.
type User struct {
	// Name is what the user types to sign in; it is unique, and case matters.
	Name string
	// Subject identifies the user permanently, even if Name changes.
	Subject string
	// PasswordHash is an encoded hash that carries its own parameters.
	PasswordHash string
	// Version counts the passwords that the user has had, beginning with 1.
	Version   int64
	CreatedAt time.Time

	// Roles are words separated by spaces: the scope of the user's access tokens.
	Roles string
	// DisabledAt is when the user was disabled, who may not sign in since; zero if the user
	// is not.
	DisabledAt time.Time
	// UnlockedAt is when an operator last lifted the limits on the user's sign-ins, or zero.
	UnlockedAt time.Time
}

// A UserChange has the new values of a user's fields of the same names. Nil leaves a field
// as it is.
type UserChange struct {
	Roles                  *string
	DisabledAt, UnlockedAt *time.Time
}
