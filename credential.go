package tandem

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

// A credential is a pair in use. Two credentials are the same only if their addresses are.
type credential struct {
	Pair
	// authorization is the value of the Authorization header.
	authorization string
	// refreshAt is when a refresh ahead of expiry is due.
	refreshAt time.Time
	// invalid is set when the program has called Invalidate, or the store has no pair any
	// more.
	invalid atomic.Bool
	// fetched reports that this session got the pair from the server by a refresh, so that
	// its access token was fresh.
	fetched bool
	// counted is set once Stats.Expiries has counted this credential.
	counted atomic.Bool
	// refusals has, for each origin that refused the access token when it was
	// fresh, the time of the latest refusal.
	refusals sync.Map
	// untried is set if an origin refused an upload with the previous access token and the
	// session could not repeat the upload, so that nobody knows whether that origin
	// accepts this token.
	untried atomic.Pointer[refusalNote]
	// doubted is set if a connection broke during an upload for an unknown reason: the API
	// may have refused the access token.
	doubted atomic.Bool
}

// usable reports whether the access token may be sent.
func (c *credential) usable(now time.Time) bool {
	return !c.invalid.Load() && c.decided().Usable(now)
}

// refreshDue reports whether a refresh ahead of expiry is due.
func (c *credential) refreshDue(now time.Time) bool { return !within(now, c.ReceivedAt, c.refreshAt) }

// within reports whether now lies between two times, by the monotonic clock, which stops
// while a machine sleeps, and by the wall clock, which people can set. So a time that the
// session noted by a wrong clock does not count for hours.
func within(now, from, to time.Time) bool {
	wall := now.Round(0)
	return now.Before(to) && wall.Before(to.Round(0)) && !wall.Before(from.Round(0).Add(-renewal.ClockTolerance))
}

// refusalMemory is for how long after the refusal of a fresh access token the session
// returns refusals of the same origin without a refresh. An API that refuses every token
// would otherwise cause a refresh for every request.
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

// A refusalNote records which origin refused an upload, and when.
type refusalNote struct {
	origin string
	at     time.Time
}

// tookUpload records that origin has accepted an upload with the access token.
func (c *credential) tookUpload(origin string) {
	if note := c.untried.Load(); note != nil && note.origin == origin {
		c.untried.CompareAndSwap(note, nil)
	}
}

// wasUntried reports whether origin has refused an upload with the previous access token
// within refusalMemory, and has not accepted one with this token since.
func (c *credential) wasUntried(origin string, now time.Time) bool {
	note := c.untried.Load()
	return note != nil && note.origin == origin && within(now, note.at, note.at.Add(refusalMemory))
}

// doubt records that an upload broke off, unless the session has just fetched the access
// token, so that the token cannot be the reason.
func (c *credential) doubt(now time.Time) {
	if !c.fetched || !within(now, c.ReceivedAt, c.ReceivedAt.Add(refusalMemory)) {
		c.doubted.Store(true)
	}
}

// sameUser reports whether a request that began with c may go on with other.
func (c *credential) sameUser(other *credential) bool {
	return c.SessionID == other.SessionID || c.Username != "" && c.Username == other.Username
}
