package simulation

import (
	"fmt"
	"time"
)

// A Config describes a world.
type Config struct {
	Seed uint64
	// Scheme is how refresh tokens rotate. Defaults to Tandem.
	Scheme Scheme
	// Users is the number of users. Defaults to 6.
	Users int
	// Refreshes is how many refreshes the server honours before the world ends. Defaults
	// to 1,000.
	Refreshes int
	// Faults is the share of calls that the network disturbs. Defaults to 0.3; negative
	// means none, and then no process crashes and no server restarts either.
	Faults float64
	// NoThieves keeps thieves out.
	NoThieves bool
	// FallBacks lets the server's store roll back by some seconds now and then.
	FallBacks bool
	// StoreFaults is the share of the calls of a client's store that fail: each call for
	// itself, or all for minutes. A load fails; a swap fails without having saved the
	// pair, or having saved it, at once or when its context ends; a lock cannot be had.
	// Defaults to none.
	StoreFaults float64
	// StoreRollbacks lets a client's store roll back to an earlier pair of the same
	// session, by up to ten minutes, while its processes remember the newest pair.
	StoreRollbacks bool
	// Strict makes the clients OAuth 2.0 clients of a server that takes each refresh token
	// once: the scheme is Textbook, there are no thieves, no process crashes, and the
	// network loses no reply of the token endpoint, because no client could recover from
	// that.
	Strict bool
}

// A Scheme is a way of rotating refresh tokens.
type Scheme string

// Tandem's scheme, and those of other servers.
const (
	// Tandem is confirmed rotation: the real server.
	Tandem Scheme = "confirmed rotation"
	// Textbook: each refresh token is good once, and a second use ends the session.
	Textbook Scheme = "textbook rotation"
	// Grace: a presented refresh token stays valid for ten seconds.
	Grace Scheme = "10 s of grace"
	// Counter: the server answers the token before the current one with the current one.
	Counter Scheme = "counter"
)

const (
	accessTTL = time.Minute
	// longestDelay is the longest time for which the network holds a request back; it is
	// shorter than the leeway.
	longestDelay = 9 * time.Second
	// longestWorld bounds a world that makes no progress.
	longestWorld = 365 * 24 * time.Hour
	// settling is how long a world lasts at most after its refreshes, so that victims of
	// theft come back.
	settling = 24 * time.Hour
)

func (c Config) withDefaults() Config {
	if c.Scheme == "" {
		c.Scheme = Tandem
	}
	if c.Strict {
		c.Scheme, c.NoThieves = Textbook, true
	}
	if c.Users == 0 {
		c.Users = 6
	}
	if c.Refreshes == 0 {
		c.Refreshes = 1000
	}
	if c.Faults == 0 {
		c.Faults = 0.3
	}
	return c
}

// A Report counts what happened.
type Report struct {
	Scheme Scheme
	Worlds int

	Calls     int // of clients, successful or not
	Refreshes int // honoured: a token was presented for the first time
	Retried   int // honoured: a token was presented again
	Stale     int
	Temporary int // calls that got a temporary error

	Faults, Duplicates, Crashes, Restarts, FallBacks int
	StoreFaults, Rollbacks                           int

	// FalseLogouts are sessions that ended, or that the server or the client reported as
	// ended, though no thief had touched them.
	FalseLogouts int
	// Planted are thefts in which both thief and owner presented tokens that the server
	// gave them. Seen are those thefts after which the server ended the session.
	Planted, Seen int
	// SeenAfter is the time between the thief's first use of a token given to the thief
	// and the end of the session.
	SeenAfter []time.Duration

	// Digest is a hash of all events and their times.
	Digest uint64
}

// Add adds the counts of another world.
func (r *Report) Add(other Report) {
	r.Scheme = other.Scheme
	r.Worlds += other.Worlds
	r.Calls += other.Calls
	r.Refreshes += other.Refreshes
	r.Retried += other.Retried
	r.Stale += other.Stale
	r.Temporary += other.Temporary
	r.Faults += other.Faults
	r.Duplicates += other.Duplicates
	r.Crashes += other.Crashes
	r.Restarts += other.Restarts
	r.FallBacks += other.FallBacks
	r.StoreFaults += other.StoreFaults
	r.Rollbacks += other.Rollbacks
	r.FalseLogouts += other.FalseLogouts
	r.Planted += other.Planted
	r.Seen += other.Seen
	r.SeenAfter = append(r.SeenAfter, other.SeenAfter...)
	r.Digest ^= other.Digest
}

// String is the report on one line.
func (r *Report) String() string {
	text := fmt.Sprintf("%d refreshes, %d retried, %d stale, %d false logouts, %d of %d thefts seen; %d calls, %d temporary errors, %d faults, %d duplicates, %d crashes, %d restarts, %d fall-backs",
		r.Refreshes, r.Retried, r.Stale, r.FalseLogouts, r.Seen, r.Planted,
		r.Calls, r.Temporary, r.Faults, r.Duplicates, r.Crashes, r.Restarts, r.FallBacks)
	if r.StoreFaults+r.Rollbacks > 0 {
		text += fmt.Sprintf(", %d faults and %d rollbacks of clients' stores", r.StoreFaults, r.Rollbacks)
	}
	return text
}
