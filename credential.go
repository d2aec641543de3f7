package tandem

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

// A credential is a pair in use. Its address is its identity: two credentials
// are the same only if they are one.
type credential struct {
	Pair
	// authorization is the header that the access token goes in.
	authorization string
	// refreshAt is when a refresh ahead of expiry is due.
	refreshAt time.Time
	// invalid is set when the program has called Invalidate, or the store has nothing.
	invalid atomic.Bool
	// fetched says that this session fetched it from the server by a refresh, so that its
	// access token was fresh.
	fetched bool
	// counted is set once Stats.Expiries has counted this credential.
	counted atomic.Bool
	// refusals has, for each origin that refused the access token when it was
	// fresh, the time of the latest refusal.
	refusals sync.Map
	// untried is set while nobody knows whether an origin that refused an upload with the
	// access token before this one takes one with this: the upload was not sent again.
	untried atomic.Pointer[refusalNote]
	// doubted is set once a connection broke during an upload, and nobody knows why: the
	// access token may have been refused.
	doubted atomic.Bool
}

// usable reports whether the access token may be sent.
func (c *credential) usable(now time.Time) bool {
	return !c.invalid.Load() && c.decided().Usable(now)
}

// refreshDue reports whether a refresh ahead of expiry is due.
func (c *credential) refreshDue(now time.Time) bool { return !within(now, c.ReceivedAt, c.refreshAt) }

// within reports whether now lies between two times, by the monotonic clock, which stands
// still while a machine sleeps, and by the wall clock, which can be set: what was noted
// by a clock that was wrong, or has been set back since, does not hold for hours.
func within(now, from, to time.Time) bool {
	wall := now.Round(0)
	return now.Before(to) && wall.Before(to.Round(0)) && !wall.Before(from.Round(0).Add(-renewal.ClockTolerance))
}

// refusalMemory is how long the session hands on the refusals of an origin that has
// refused a fresh access token. An API that refuses every token would otherwise cause a
// refresh for every request.
const refusalMemory = 10 * time.Second

func (c *credential) refusedFresh(origin string, now time.Time) {
	c.refusals.Store(origin, now)
}

func (c *credential) wasRefusedFresh(origin string, now time.Time) bool {
	value, ok := c.refusals.Load(origin)
	if !ok {
		return false
	}
	at, _ := value.(time.Time)
	return within(now, at, at.Add(refusalMemory))
}

// A refusalNote says which origin refused something, and when.
type refusalNote struct {
	origin string
	at     time.Time
}

// tookUpload notes that origin has accepted an upload with the access token.
func (c *credential) tookUpload(origin string) {
	if note := c.untried.Load(); note != nil && note.origin == origin {
		c.untried.CompareAndSwap(note, nil)
	}
}

// wasUntried reports whether origin refused an upload with the access token before this
// one lately, and has not taken one with this one since.
func (c *credential) wasUntried(origin string, now time.Time) bool {
	note := c.untried.Load()
	return note != nil && note.origin == origin && within(now, note.at, note.at.Add(refusalMemory))
}

// doubt notes that an upload broke off, unless the access token is so fresh that it
// cannot be why.
func (c *credential) doubt(now time.Time) {
	if !c.fetched || !within(now, c.ReceivedAt, c.ReceivedAt.Add(refusalMemory)) {
		c.doubted.Store(true)
	}
}

// sameUser reports whether a request begun with c may go on with other.
func (c *credential) sameUser(other *credential) bool {
	return c.SessionID == other.SessionID || c.Username != "" && c.Username == other.Username
}
