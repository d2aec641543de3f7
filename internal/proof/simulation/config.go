package simulation

import (
	"fmt"
	"time"
)

// A Config says what a world is like.
type Config struct {
	Seed uint64
	// Scheme is how refresh tokens rotate. Defaults to Tandem.
	Scheme Scheme
	// Users of a world. Defaults to 6.
	Users int
	// Refreshes that are honoured before the world ends. Defaults to 1,000.
	Refreshes int
	// Faults is the share of calls that the network does something to. Defaults to
	// 0.3; negative is none, and then nothing crashes or is restarted either.
	Faults float64
	// NoThieves keeps thieves out.
	NoThieves bool
	// FallBacks lets the server's store fall back to a state some seconds old, now
	// and then.
	FallBacks bool
	// StoreFaults is the share of the calls of a client's store that fail: each call for
	// itself, or all for minutes. A load fails; a swap fails without having saved the
	// pair, or having saved it, at once or when its context ends; a lock cannot be had.
	// Defaults to none.
	StoreFaults float64
	// StoreRollbacks lets a client's store go back to an earlier pair of the same
	// session, by up to ten minutes, while its processes remember the newest pair.
	StoreRollbacks bool
	// Strict clients are OAuth 2.0 clients of a server that takes each refresh token
	// once: the scheme is Textbook, there are no thieves, no process crashes, and no
	// reply of the token endpoint is lost, for no client can make up for that.
	Strict bool
}

// A Scheme is a way of rotating refresh tokens.
type Scheme string

// Ours, and what others do.
const (
	// Tandem is confirmed rotation: the real server.
	Tandem Scheme = "confirmed rotation"
	// Textbook: each refresh token is good once, and a second use ends the session.
	Textbook Scheme = "textbook rotation"
	// Grace: a used refresh token goes on being good for ten seconds.
	Grace Scheme = "10 s of grace"
	// Counter: the token before the current one is answered with the current one.
	Counter Scheme = "counter"
)

const (
	accessTTL = time.Minute
	// longestDelay is the longest that the network holds anything back; it is
	// shorter than the leeway.
	longestDelay = 9 * time.Second
	// longestWorld bounds a world that does not get on.
	longestWorld = 365 * 24 * time.Hour
	// settling is how long a world goes on at most once its refreshes are done, so
	// that victims come back.
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
	Refreshes int // honoured: a token was used for the first time
	Retried   int // a token was used again, and honoured
	Stale     int
	Temporary int // calls that got a temporary error

	Faults, Duplicates, Crashes, Restarts, FallBacks int
	StoreFaults, Rollbacks                           int

	// FalseLogouts are sessions that ended, or whose client was told so, though no
	// thief had touched them.
	FalseLogouts int
	// Planted are thefts in which both parties used tokens that they were given.
	// Seen are those of them that ended the session.
	Planted, Seen int
	// SeenAfter is how long it took from the thief's first use of a token of their
	// own.
	SeenAfter []time.Duration

	// Digest stands for everything that happened, and when.
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
