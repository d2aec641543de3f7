// Package store holds what every store of sessions has in common: the row that
// it keeps and the errors that it returns. The stores are in folders of their
// own; the interface that they satisfy stands where it is used, in package
// server.
package store

import (
	"errors"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// Errors that every store returns, wrapped or bare.
var (
	// ErrNotFound: no such row.
	ErrNotFound = errors.New("not found")
	// ErrExists: a row with that key is there already.
	ErrExists = errors.New("exists already")
)

// A Session is one sign-in: one row, for as long as the session lasts. Times
// are kept to the millisecond.
type Session struct {
	ID rotation.SessionID
	rotation.State

	// Subject is the user that signed in, as the directory names them: the "sub"
	// claim.
	Subject string
	// Username is what the user typed to sign in: the "preferred_username" claim.
	// It may be empty.
	Username string
	// Scope is what the session's access tokens may be used for: the "scope"
	// claim (RFC 6749 section 3.3).
	Scope string
	// Device and IP help a person to recognise the session in a list: what the
	// sign-in said of itself, and where it came from.
	Device string
	IP     string

	CreatedAt time.Time
}

// A Place is where a session stands in a list, newest first: those of one time are in
// the order of their IDs.
type Place struct {
	CreatedAt time.Time
	ID        rotation.SessionID
}

// Place returns where the session stands.
func (s Session) Place() Place { return Place{CreatedAt: s.CreatedAt, ID: s.ID} }

// A Page is a part of a list. The zero value is all of it.
type Page struct {
	// After is where the last session of the part before stands. The zero value is
	// the beginning. That session need not be in the list any more.
	After Place
	// Limit is how many sessions there are at most; 0 is without bound.
	Limit int
}

// A Confirmation is what became of an attempt to confirm a refresh token.
type Confirmation struct {
	// Session is the session as it is after the attempt.
	Session Session
	// Confirmed says that the attempt succeeded.
	Confirmed bool
	// Previous is the generation that the session was at before, if the attempt
	// succeeded.
	Previous uint32
}

// Before returns the state that the attempt found, as far as [rotation.Decide] asks
// for it: of a token that is older than the presented one, the generation is
// enough.
func (c Confirmation) Before() rotation.State {
	state := c.Session.State
	if c.Confirmed {
		state.Current = rotation.Position{Generation: c.Previous}
	}
	return state
}

// A User is an entry of the embedded directory.
type User struct {
	// Name is what the user types to sign in; it is unique, and case matters.
	Name string
	// Subject names the user for good, whatever becomes of Name.
	Subject string
	// PasswordHash is an encoded hash that carries its own parameters.
	PasswordHash string
	// Version counts the passwords that the user has had, from 1.
	Version   int64
	CreatedAt time.Time
}
