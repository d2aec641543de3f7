package prove

import (
	"fmt"
	"time"

	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// A Rule is one that the protocol needs: breaking it must break a promise.
type Rule string

// The rules of the server: the rows of the table in docs/protocol.md.
const (
	Leeway          Rule = "a delayed duplicate is forgiven within the leeway"
	Retry           Rule = "the current token may be presented again"
	NewerByMore     Rule = "a token newer by more than one generation is confirmed"
	SiblingRefused  Rule = "a sibling of the current token is refused"
	OlderRefused    Rule = "an older token is refused"
	ReuseEnds       Rule = "reuse ends the session"
	FreshBranches   Rule = "every token given out has a branch of its own"
	CompareAndSet   Rule = "the server confirms by compare-and-set"
	EndedStaysEnded Rule = "an ended session is refused"
	ExpiresAsRead   Rule = "an expired token ends the session only in the state that was read"

	PlaceBeforeAge     Rule = "a token's place is decided before its age"
	ExpiredEnds        Rule = "what is refused as expired ends the session"
	AgeOfCurrent       Rule = "the current token's age counts from its confirmation"
	LeewayAfterCurrent Rule = "the lifetime of the current token ends with a leeway"
	LeewayAfterNewer   Rule = "the lifetime of a newer token ends with a leeway"
	OutlivedIsNoReuse  Rule = "within the leeway an older token is stale whatever its age"
)

// The rules of the client before a refresh: the rows of the first table of package
// renewal.
const (
	ReadBeforeRefresh  Rule = "the client reads its store before every refresh"
	EmptyIsSignedOut   Rule = "an empty store means that the user has signed out"
	ForeignIsLeftAlone Rule = "a pair of another server is not presented"
	SessionAdopted     Rule = "another session in the store is adopted"
	EndedNotAdopted    Rule = "the session that has ended here is not adopted again"
	NewerAdopted       Rule = "a newer pair in the store is adopted"
	SiblingAdopted     Rule = "a sibling of live in the store is adopted"
	OlderNotAdopted    Rule = "an older pair in the store is not adopted"
	StoredIsPresented  Rule = "live is presented if the store has it"
	UnsavedNotUsed     Rule = "a pair that the store has not kept is not presented"
	OlderIsNoBase      Rule = "base is presented only if the store has it"
	BaseNotAtStrict    Rule = "base is not presented to a strict server"
	HalfTheLifetime    Rule = "live is presented once the store has failed for half the lifetime"
)

// The rules of the client after an answer: the rows of the second table.
const (
	EmptyNotFilled      Rule = "a pair that arrives after the sign-out is discarded"
	ForeignNotReplaced  Rule = "another server's pair is not replaced"
	SessionNotReplaced  Rule = "another session's pair is not replaced"
	SiblingNotReplaced  Rule = "a sibling in the store is not replaced"
	NewerNotReplaced    Rule = "a newer pair in the store is not replaced"
	OlderReplaced       Rule = "an older pair in the store is replaced, not adopted"
	StoredIsBase        Rule = "a pair that the store is known to have is base"
	ReloadedGivesUp     Rule = "a pair that arrives after another was adopted is given up"
	LookBeforeEnd       Rule = "the client looks at its store before it takes the session for ended"
	StaleIsNoEnd        Rule = "the client does not take a stale token for the end"
	FailedIsNoEnd       Rule = "the client does not take a failure for the end"
	UnsavedWrittenOlder Rule = "an unsaved pair is written in place of an older one alone"
)

// tick is long, so that no rounding of a time can matter.
const tick = time.Hour

// now is the time of every decision; the ages of tokens express the time that has passed.
var now = time.Unix(1_800_000_000, 0)

func ago(ticks uint8) time.Time { return now.Add(-time.Duration(ticks) * tick) }

const (
	ourIssuer   = "https://auth.example.com"
	theirIssuer = "https://auth.example.net"
	session     = "the session"
)

// A world is a setting during its search.
type world struct {
	Setting
	policy rotation.Policy
	// pairs has the constant part of each token's pair.
	pairs [maxTokens]renewal.Pair
	// ages is the highest age of a token or a confirmation; higher ages are equivalent.
	ages uint8
}

func newWorld(set Setting) *world {
	w := &world{Setting: set}
	w.Leeway = max(w.Leeway, 1)
	w.policy = rotation.Policy{
		RefreshTTL:  1000 * tick,
		Leeway:      time.Duration(w.Leeway) * tick,
		RetryWindow: rotation.Unbounded,
	}
	w.ages = w.Leeway
	if w.Lifetime > 0 {
		w.policy.RefreshTTL = time.Duration(w.Lifetime) * tick
		w.ages = w.Lifetime + max(w.Leeway, w.Hold)
	}
	switch {
	case w.Strict:
		w.policy.Leeway, w.policy.RetryWindow = 0, 0
	case w.Broken == Leeway:
		w.policy.Leeway = 0
	case w.Broken == Retry:
		w.policy.RetryWindow = 0
	}
	for i := range w.pairs {
		w.pairs[i] = renewal.Pair{
			Issuer: ourIssuer, SessionID: session,
			AccessToken: fmt.Sprint("a", i), RefreshToken: fmt.Sprint("r", i),
			ReceivedAt: now, ExpiresAt: now.Add(tick),
		}
		if w.Lifetime > 0 {
			w.pairs[i].RefreshExpiresAt = now.Add(w.policy.RefreshTTL)
		}
	}
	return w
}

// decide returns the real decision about a token, or that of a server without the
// setting's broken rule.
func (w *world) decide(s *state, r row, presented ref) rotation.Decision {
	position := func(t ref) rotation.Position {
		return rotation.Position{Generation: uint32(s.tokens[t].generation), Branch: uint64(t)}
	}
	current := rotation.State{Current: position(r.current), ConfirmedAt: ago(r.age), ExpiresAt: now.Add(1000 * tick)}
	if r.end != lives && w.Broken != EndedStaysEnded {
		current.EndedAt, current.EndReason = now, reasons[r.end]
	}
	asked := rotation.Token{Position: position(presented), IssuedAt: now}
	age := uint8(0)
	if w.Lifetime > 0 {
		age = s.tokens[presented].age
		asked.IssuedAt = ago(age)
		if presented == r.current {
			asked.IssuedAt = current.ConfirmedAt // or before: the age of neither counts
		}
	}
	return w.breakServer(s, r, presented, age, rotation.Decide(&current, asked, now, w.policy))
}

// breakServer gives the decision that a server without the setting's rule would make.
func (w *world) breakServer(s *state, r row, presented ref, age uint8, d rotation.Decision) rotation.Decision {
	if d.Verdict == rotation.Refuse {
		return d
	}
	given, current := s.tokens[presented].generation, s.tokens[r.current].generation
	refuse := rotation.Decision{Verdict: rotation.Refuse, Reason: rotation.Expired}
	outlived := w.Lifetime > 0 && age >= w.Lifetime
	switch {
	case w.Broken == NewerByMore && given > current+1:
		d.Verdict = rotation.Reuse
	case w.Broken == SiblingRefused && given == current && presented != r.current,
		w.Broken == OlderRefused && given < current:
		d.Verdict = rotation.Confirm
	case w.Broken == ReuseEnds && d.Verdict == rotation.Reuse:
		d.Verdict = rotation.Stale
	case w.Broken == PlaceBeforeAge && outlived && presented != r.current,
		w.Broken == ExpiredEnds && d.Verdict == rotation.Expire:
		return refuse
	case w.Broken == AgeOfCurrent && presented == r.current && age >= w.Lifetime+w.Leeway,
		w.Broken == LeewayAfterCurrent && presented == r.current && d.Verdict == rotation.Stale,
		w.Broken == LeewayAfterNewer && given > current && outlived:
		d.Verdict = rotation.Expire
	case w.Broken == OutlivedIsNoReuse && d.Verdict == rotation.Stale && presented != r.current && outlived:
		d.Verdict = rotation.Reuse
	}
	return d
}
