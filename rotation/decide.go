package rotation

import "time"

// A Position names one refresh token of a session: how many confirmations came
// before it, and which of its siblings it is.
type Position struct {
	Generation uint32
	Branch     uint64
}

// A State is what a store keeps of a session for the sake of rotation. The zero
// EndedAt means that nothing has ended the session.
type State struct {
	// Current is the refresh token that was confirmed last.
	Current Position
	// ConfirmedAt is when that was; for a new session, when it was created.
	ConfirmedAt time.Time
	// ExpiresAt bounds the whole session, however often it is refreshed.
	ExpiresAt time.Time
	// EndedAt and EndReason are set together, once.
	EndedAt   time.Time
	EndReason EndReason
}

// Ended says whether something has ended the session, and why. A session past
// its ExpiresAt counts as ended with [Expired], though no store has written it.
func (s State) Ended(now time.Time) (EndReason, bool) {
	switch {
	case !s.EndedAt.IsZero():
		return s.EndReason, true
	case !now.Before(s.ExpiresAt):
		return Expired, true
	}
	return "", false
}

// Successor returns where a token given out for the state stands: one
// generation above the current one, on a branch that the caller draws at random.
func (s State) Successor(branch uint64) Position {
	return Position{Generation: s.Current.Generation + 1, Branch: branch}
}

// An EndReason says what ended a session. It is part of the wire format.
type EndReason string

const (
	// SignedOut: the user ended it, from the session itself.
	SignedOut EndReason = "signed_out"
	// Revoked: the user or an operator ended it from elsewhere.
	Revoked EndReason = "revoked"
	// ReuseDetected: a second party used a refresh token of the session.
	ReuseDetected EndReason = "reuse_detected"
	// Expired: the session outlived the policy, or nobody refreshed it in time.
	Expired EndReason = "expired"
	// Unknown: no store knows the session, or not any more.
	Unknown EndReason = "unknown"
)

// A Policy bounds what [Decide] tolerates.
type Policy struct {
	// RefreshTTL is how long a refresh token is good for: the current one after its
	// confirmation, a newer one after it was given out.
	RefreshTTL time.Duration
	// Leeway is how long the network may hold a request back. For so long after a
	// confirmation, a token that is neither current nor newer counts as a delayed
	// duplicate rather than as reuse; for so long after RefreshTTL, a token is not
	// taken for expired.
	Leeway time.Duration
	// LeewayReach is how many generations behind the current one a token may be
	// for Leeway to cover it; zero is any number. Without a bound, a thief who
	// refreshes more often than every Leeway keeps the session's owner at stale
	// answers, and the session is never ended.
	LeewayReach uint32
	// RetryWindow is how long after its confirmation the current token may be
	// presented again. Zero is textbook rotation: not at all. Negative is
	// without bound: until a successor of it is used.
	RetryWindow time.Duration
}

// Unbounded is the [Policy] RetryWindow that lets the current token be
// presented again until a successor of it is used.
const Unbounded time.Duration = -1

// A Verdict is what to do about a presented refresh token.
type Verdict uint8

const (
	// Refuse: the session has ended, or is not known; Decision.Reason says why.
	// Nothing is written.
	Refuse Verdict = iota
	// Confirm: make the presented token the session's current one, in one atomic
	// step with the check that it is newer and that the session lives; then give a
	// successor. If another was faster, decide again.
	Confirm
	// Retry: the current token again. Give another successor, write nothing.
	Retry
	// Stale: a delayed duplicate. Give no token, leave the session alone.
	Stale
	// Reuse: two parties hold the session. End it with ReuseDetected.
	Reuse
	// Expire: the token was presented too late. End the session with Expired: who is
	// told that a session has ended must be able to rely on it.
	Expire
)

// String returns the verdict's name in lower case.
func (v Verdict) String() string {
	switch v {
	case Refuse:
		return "refuse"
	case Confirm:
		return "confirm"
	case Retry:
		return "retry"
	case Stale:
		return "stale"
	case Reuse:
		return "reuse"
	case Expire:
		return "expire"
	}
	return "unknown"
}

// A Decision is the answer to one presented refresh token.
type Decision struct {
	Verdict Verdict
	// Next is the state once the verdict is carried out; where nothing is
	// written, the state as it was.
	Next State
	// Reason is set for Refuse, Reuse and Expire.
	Reason EndReason
	// StoreWentBack reports that the token proves a state later than the store's:
	// the store has lost confirmations. It goes with Confirm.
	StoreWentBack bool
}

// Decide says what to answer when token is presented at the time now. The
// token's MAC must have been checked, and state be that of the token's session;
// nil means that no such session is known.
//
// The token's place is decided before its age. If age came first, the owner of a
// session who comes back too late would be refused, and a thief who holds a sibling
// of the owner's token would go on with the session unseen.
func Decide(state *State, token Token, now time.Time, policy Policy) Decision {
	if state == nil {
		return Decision{Verdict: Refuse, Reason: Unknown}
	}
	if reason, ended := state.Ended(now); ended {
		return Decision{Verdict: Refuse, Next: *state, Reason: reason}
	}
	sinceConfirmed := now.Sub(state.ConfirmedAt)
	switch {
	case token.Generation > state.Current.Generation:
		return decideNewer(*state, token, now, policy)
	case token.Position == state.Current && policy.mayRetry(sinceConfirmed):
		return decideCurrent(*state, token, now, policy)
	case sinceConfirmed < policy.Leeway && policy.reaches(state.Current.Generation-token.Generation):
		return Decision{Verdict: Stale, Next: *state}
	}
	return end(*state, Reuse, ReuseDetected, now)
}

func decideNewer(state State, token Token, now time.Time, policy Policy) Decision {
	if policy.Outlived(token, now) {
		return end(state, Expire, Expired, now)
	}
	wentBack := token.Generation-state.Current.Generation > 1
	state.Current, state.ConfirmedAt = token.Position, now
	return Decision{Verdict: Confirm, Next: state, StoreWentBack: wentBack}
}

// decideCurrent counts the age of the current token from its confirmation: whoever
// presented it then was here. A server whose clock was behind then has issued the
// token later than that.
func decideCurrent(state State, token Token, now time.Time, policy Policy) Decision {
	age := min(now.Sub(state.ConfirmedAt), now.Sub(token.IssuedAt))
	switch {
	case age < policy.RefreshTTL:
		return Decision{Verdict: Retry, Next: state}
	case age < policy.RefreshTTL+policy.Leeway:
		return Decision{Verdict: Stale, Next: state}
	}
	return end(state, Expire, Expired, now)
}

func end(state State, verdict Verdict, reason EndReason, now time.Time) Decision {
	state.EndedAt, state.EndReason = now, reason
	return Decision{Verdict: verdict, Next: state, Reason: reason}
}

// Outlived reports whether a token is too old to be confirmed, whatever the state of
// its session: older than RefreshTTL and one Leeway, as a request that was sent in
// time may arrive that late.
func (p Policy) Outlived(token Token, now time.Time) bool {
	return now.Sub(token.IssuedAt) >= p.RefreshTTL+p.Leeway
}

func (p Policy) reaches(behind uint32) bool { return p.LeewayReach == 0 || behind <= p.LeewayReach }

func (p Policy) mayRetry(sinceConfirmed time.Duration) bool {
	return p.RetryWindow < 0 || sinceConfirmed < p.RetryWindow
}
