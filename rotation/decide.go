package rotation

import "time"

// A Position names one refresh token of a session. Generation counts the
// confirmations before it; Branch is a random number that tells siblings (tokens
// of one session and generation) apart.
type Position struct {
	Generation uint32
	Branch     uint64
}

// A State is the part of a session's row that rotation needs. The zero EndedAt
// means that nothing has ended the session.
type State struct {
	// Current is the refresh token that was confirmed last.
	Current Position
	// ConfirmedAt is when Current was confirmed. In a new session it is when the
	// session was created.
	ConfirmedAt time.Time
	// ExpiresAt is when the session expires, however often a client refreshes it.
	ExpiresAt time.Time
	// EndedAt and EndReason are set together, once, when the session ends.
	EndedAt   time.Time
	EndReason EndReason
}

// Ended reports whether the session has ended, and why. A session past its
// ExpiresAt has ended with [Expired], even if the store's row has no EndReason.
func (s State) Ended(now time.Time) (EndReason, bool) {
	switch {
	case !s.EndedAt.IsZero():
		return s.EndReason, true
	case !now.Before(s.ExpiresAt):
		return Expired, true
	}
	return "", false
}

// Successor returns the position of a successor of the current token: one
// generation above it, on a branch that the caller draws at random.
func (s State) Successor(branch uint64) Position {
	return Position{Generation: s.Current.Generation + 1, Branch: branch}
}

// An EndReason says what ended a session. It is part of the wire format.
type EndReason string

const (
	// SignedOut: the user signed out in this session.
	SignedOut EndReason = "signed_out"
	// Revoked: the user or an operator ended the session from elsewhere.
	Revoked EndReason = "revoked"
	// ReuseDetected: a second party presented a refresh token of the session.
	ReuseDetected EndReason = "reuse_detected"
	// Expired: the session reached its ExpiresAt, or its refresh token expired
	// before a client presented it.
	Expired EndReason = "expired"
	// Unknown: the store has no such session, or has already deleted it.
	Unknown EndReason = "unknown"
)

// A Policy bounds what [Decide] tolerates.
type Policy struct {
	// RefreshTTL is the lifetime of a refresh token. It is counted from the
	// confirmation of the current token, and from the issue of a newer one.
	RefreshTTL time.Duration
	// Leeway is the longest delay of a request in the network that Decide allows
	// for. Until Leeway has passed since a confirmation, a token that is neither
	// current nor newer counts as a delayed duplicate and not as reuse. A token
	// expires only when Leeway has passed after RefreshTTL.
	Leeway time.Duration
	// LeewayReach is how many generations behind the current one a token may be
	// for Leeway to apply to it; zero means any number. Without this bound, a thief
	// who refreshes more often than once per Leeway would go undetected: the
	// session's owner would get Stale at every refresh, and the session would
	// never end.
	LeewayReach uint32
	// RetryWindow is how long after its confirmation the current token may be
	// presented again. Zero means never (textbook rotation). A negative value
	// means until a successor of it is presented.
	RetryWindow time.Duration
}

// Unbounded is the [Policy] RetryWindow with which the current token may be
// presented again until a successor of it is presented.
const Unbounded time.Duration = -1

// A Verdict tells the server what to do about a presented refresh token.
type Verdict uint8

const (
	// Refuse: the session has ended or is unknown; Decision.Reason says why. Write
	// nothing.
	Refuse Verdict = iota
	// Confirm: make the presented token the session's current one, in one atomic
	// step with the check that it is newer and that the session has not ended; then
	// answer with a successor. If another request has changed the session first,
	// decide again.
	Confirm
	// Retry: the current token was presented again. Answer with another successor,
	// and write nothing.
	Retry
	// Stale: the request is a delayed duplicate. Answer without a token, and write
	// nothing.
	Stale
	// Reuse: two parties hold the session. End it with ReuseDetected.
	Reuse
	// Expire: the token has expired. End the session with Expired before answering:
	// a client that reads that its session has ended must be able to rely on it.
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
	// Next is the state after the verdict has been carried out. It is the
	// unchanged state for a verdict that writes nothing, and zero for an unknown
	// session.
	Next State
	// Reason is set for Refuse, Reuse and Expire.
	Reason EndReason
	// StoreWentBack reports that the store has lost confirmations: the token is
	// more than one generation newer than the store's current one. It is set only
	// with Confirm.
	StoreWentBack bool
}

// Decide returns what the server does when token is presented at the time now.
// The caller must have checked the token's MAC. state is the state of the
// token's session, or nil if the store has no such session.
//
// Decide checks the token's position before its age. With the opposite order, an
// owner who presents a token too late would only be refused as expired, and a
// thief who holds a sibling of that token would keep the session undetected.
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

// decideCurrent counts the age of the current token from its confirmation, when the
// client last used it. If a server's clock was behind at the confirmation, ConfirmedAt is
// before IssuedAt; then it counts from IssuedAt.
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

// Outlived reports whether a token is too old to be confirmed, whatever the state of its
// session: its age has reached RefreshTTL plus Leeway. A client that sends a request
// within RefreshTTL is in time even if the network delays the request by Leeway.
func (p Policy) Outlived(token Token, now time.Time) bool {
	return now.Sub(token.IssuedAt) >= p.RefreshTTL+p.Leeway
}

func (p Policy) reaches(behind uint32) bool { return p.LeewayReach == 0 || behind <= p.LeewayReach }

func (p Policy) mayRetry(sinceConfirmed time.Duration) bool {
	return p.RetryWindow < 0 || sinceConfirmed < p.RetryWindow
}
