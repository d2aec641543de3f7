package renewal

import "time"

// A Pair is what the decision needs to know of a pair of tokens. The zero Pair is none.
type Pair struct {
	// Issuer names the server that gave the pair out; empty if that was not recorded.
	Issuer    string
	SessionID string
	// Revision orders the pairs of one session; 0 if it was not recorded.
	Revision     uint64
	AccessToken  string
	RefreshToken string
	// ReceivedAt is when the client received the pair, ExpiresAt when the access token
	// expires, both by the client's own clock.
	ReceivedAt, ExpiresAt time.Time
	// RefreshExpiresAt is when the refresh token expires if it is not presented before;
	// zero if the server doesn't say.
	RefreshExpiresAt time.Time
}

// IsZero reports whether there is no pair.
func (p Pair) IsZero() bool { return p.RefreshToken == "" }

// Same reports whether two pairs have the same tokens. Both count: where refresh tokens
// do not rotate, two pairs differ in the access token alone.
func (p Pair) Same(q Pair) bool {
	return p.RefreshToken == q.RefreshToken && p.AccessToken == q.AccessToken
}

// NewerThan reports whether p, a pair of the same session as q, is newer than q or a
// sibling of it. A pair without a revision counts as newer than any other: it is in the
// store, and nothing tells that it is old.
func (p Pair) NewerThan(q Pair) bool {
	return !p.Same(q) && (p.Revision == 0 || p.Revision >= q.Revision)
}

// ClockTolerance is how far ahead of the client's clock the time of receipt may be
// before [Pair.Usable] takes it for a sign that the clock was changed.
const ClockTolerance = time.Minute

// Usable reports whether the access token may be sent at the time now: it has not
// expired, and it was not received in the future. The latter means that the clock was
// ahead then or has been set back since, so that ExpiresAt says nothing. Both the
// monotonic and the wall clock are asked: the first stands still while a machine sleeps,
// the second can be set.
func (p Pair) Usable(now time.Time) bool {
	wall := now.Round(0)
	return now.Before(p.ExpiresAt) && wall.Before(p.ExpiresAt.Round(0)) &&
		!wall.Before(p.ReceivedAt.Round(0).Add(-ClockTolerance))
}

// refreshLifetime is how long the refresh token is good for if it is not presented; 0 if
// the server doesn't say.
func (p Pair) refreshLifetime() time.Duration {
	if p.RefreshExpiresAt.IsZero() {
		return 0
	}
	return p.RefreshExpiresAt.Sub(p.ReceivedAt)
}
