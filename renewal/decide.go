package renewal

import (
	"slices"
	"time"
)

// A Server says how the server treats a refresh token that is presented again.
type Server uint8

const (
	// Strict servers take a refresh token once.
	Strict Server = iota
	// Forgiving servers have Tandem's protocol: a refresh token may be presented again
	// until a successor of it is presented.
	Forgiving
)

// A View is what a client knows when it decides.
type View struct {
	// Live is the pair whose access token is in use, Base the pair that was presented
	// last or known to be in the store since, Stored what the store has. Each may be zero.
	Live, Base, Stored Pair
	// BasePresentedAt is when Base was first presented; zero if it has not been.
	BasePresentedAt time.Time
	// Behind is what the store had when it failed to keep Live: older, whatever its revision.
	Behind Pair
	// EndedSessionID is the session that has ended in this process, if one has: what a
	// store still has of it is not adopted.
	EndedSessionID string
	// Issuer names the client's server, FormerIssuers what it was called before.
	Issuer        string
	FormerIssuers []string
	Server        Server
}

// A Step is what a client does next.
type Step uint8

const (
	// NotSignedIn: there is no session.
	NotSignedIn Step = iota
	// SignedOut: there was a session, and another process has signed out.
	SignedOut
	// Foreign: the stored pair belongs to another server. The client presents nothing
	// and deletes nothing.
	Foreign
	// Adopt: the stored pair becomes live and base.
	Adopt
	// PresentLive: the client presents the refresh token of Live.
	PresentLive
	// PresentBase: the client presents the refresh token of Base again.
	PresentBase
	// Keep: the client stores the new pair in place of Stored, by compare-and-swap, and
	// uses it. If the swap is lost, the client reads the store and decides again.
	Keep
	// Kept: the store has the new pair already. The client uses it.
	Kept
	// Discard: the client gives the new pair up: the session was signed out meanwhile,
	// or another server's is in its place.
	Discard
	// End: the session has ended. The client deletes what the store has of it.
	End
	// Retry: nothing changes; a later refresh may succeed.
	Retry
)

var stepNames = [...]string{
	NotSignedIn: "not_signed_in", SignedOut: "signed_out", Foreign: "foreign", Adopt: "adopt",
	PresentLive: "present_live", PresentBase: "present_base",
	Keep: "keep", Kept: "kept", Discard: "discard", End: "end", Retry: "retry",
}

// String returns the name of the step in the vectors, such as "present_base".
func (s Step) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return "unknown"
}

// An Answer is what became of a refresh.
type Answer uint8

const (
	// Failed: no answer, or one that says nothing about the session.
	Failed Answer = iota
	// Granted: the server gave the next pair.
	Granted
	// Ended: the server says that the session, or the grant, is no good any more.
	Ended
	// Stale: the server says that the token is neither current nor newer, and that the
	// session lives.
	Stale
)

var answerNames = [...]string{Failed: "failed", Granted: "granted", Ended: "ended", Stale: "stale"}

// String returns the name of the answer in the vectors.
func (a Answer) String() string {
	if int(a) < len(answerNames) {
		return answerNames[a]
	}
	return "unknown"
}

// Before says what a client does that wants a new access token and has just read its
// store.
func Before(v View, now time.Time) Step {
	switch {
	case v.Stored.IsZero() && v.Live.IsZero():
		return NotSignedIn
	case v.Stored.IsZero():
		return SignedOut
	case !v.ours(v.Stored):
		return Foreign
	case v.Live.IsZero() && v.endedHere(v.Stored):
		return NotSignedIn
	case v.Live.IsZero(), v.storeIsAhead():
		return Adopt
	case v.Stored.Same(v.Live), !v.Stored.Same(v.Base), v.Server == Strict, v.storeFailsForLong(now):
		return PresentLive
	}
	return PresentBase
}

// After says what a client does with the answer to a refresh for which it has presented a
// pair. For [Granted], next is the new pair, and v.Stored may be what the store had before
// the refresh; for [Ended] and [Stale], the client reads its store again first.
func After(v View, presented Pair, answer Answer, next Pair) Step {
	switch answer {
	case Granted:
		return v.afterGrant(presented, next)
	case Ended, Stale:
		switch {
		case v.Stored.IsZero() || !v.ours(v.Stored):
		case v.Stored.SessionID != presented.SessionID && !v.endedHere(v.Stored),
			v.Stored.SessionID == presented.SessionID && !v.isBehind(v.Stored) && v.Stored.NewerThan(presented):
			return Adopt
		}
		if answer == Ended {
			return End
		}
	case Failed:
	}
	return Retry
}

func (v *View) afterGrant(presented, next Pair) Step {
	stored := v.Stored
	switch {
	case stored.IsZero() || !v.ours(stored):
		return Discard
	case stored.Same(next):
		return Kept
	case stored.SessionID != next.SessionID && !v.endedHere(stored),
		stored.SessionID == next.SessionID && !stored.Same(presented) && !v.isBehind(stored) && stored.NewerThan(next):
		return Adopt
	}
	return Keep
}

// Unsaved reports whether the store lacks the live pair: it has an older one of the same
// session. The client stores live in its place when it can, at the latest when it closes.
func Unsaved(v View) bool {
	return !v.Live.IsZero() && !v.Stored.IsZero() && v.ours(v.Stored) &&
		v.Stored.SessionID == v.Live.SessionID && !v.Stored.Same(v.Live) && !v.storeIsAhead()
}

// storeIsAhead reports whether the stored pair is another session's, newer than live or a
// sibling of it. One that is base itself is none of them, whatever its revision.
func (v *View) storeIsAhead() bool {
	if v.Stored.SessionID != v.Live.SessionID {
		return !v.endedHere(v.Stored)
	}
	return !v.Stored.Same(v.Base) && !v.isBehind(v.Stored) && v.Stored.NewerThan(v.Live)
}

func (v *View) isBehind(p Pair) bool { return !v.Behind.IsZero() && p.Same(v.Behind) }

// storeFailsForLong reports whether half of the refresh lifetime has gone since base was
// first presented.
func (v *View) storeFailsForLong(now time.Time) bool {
	lifetime := v.Live.refreshLifetime()
	return lifetime > 0 && !v.BasePresentedAt.IsZero() && max(now.Sub(v.BasePresentedAt), now.Round(0).Sub(v.BasePresentedAt.Round(0))) >= lifetime/2
}

func (v *View) endedHere(p Pair) bool {
	return v.EndedSessionID != "" && p.SessionID == v.EndedSessionID
}

// ours reports whether a pair belongs to the client's server. One without an issuer does:
// it was kept before issuers were recorded.
func (v *View) ours(p Pair) bool { return Belongs(p.Issuer, v.Issuer, v.FormerIssuers) }

// Belongs reports whether a pair of an issuer may be presented to the server that is
// called issuer now, and was called former before.
func Belongs(pairIssuer, issuer string, former []string) bool {
	return pairIssuer == "" || issuer == "" || pairIssuer == issuer || slices.Contains(former, pairIssuer)
}
