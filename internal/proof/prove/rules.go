package prove

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// A Setting is a world to search.
type Setting struct {
	Name string
	// Processes of the client that share its store: 1 or 2; with a Lock, one at a
	// time refreshes.
	Processes int
	Lock      bool
	// Generations is how often the session is refreshed at most.
	Generations uint8
	// FallBack lets the server's store fall back to an earlier state, once.
	FallBack bool
	// Thief lets a thief copy the client's token, once.
	Thief bool
	// Overlap lets the server work on two requests at once: between its reading
	// of the row and its writing, others may have written.
	Overlap bool
	// Turns is how often the party that goes on with the session may change after
	// the theft before that counts as a silent fork.
	Turns uint8
	// Broken is the rule that is broken, if one is.
	Broken Rule
}

// A Rule is one that the protocol needs. Breaking it must show.
type Rule string

// The rules of the server.
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
)

// The rules of the client.
const (
	StoreCompareAndSwap Rule = "the client stores a pair only in place of the one that was used"
	ReadBeforeRefresh   Rule = "the client reads its store before every refresh"
	StaleIsNoEnd        Rule = "the client does not take a stale token for the end"
)

// epoch is the time of every decision: what passes of time is in row.recent.
var epoch = time.Unix(1_800_000_000, 0)

const leeway = 10 * time.Second

var policy = rotation.Policy{RefreshTTL: time.Hour, Leeway: leeway, RetryWindow: rotation.Unbounded}

// policy is that of the server, with the setting's rule broken.
func (set *Setting) policy() rotation.Policy {
	p := policy
	switch set.Broken {
	case Leeway:
		p.Leeway = 0
	case Retry:
		p.RetryWindow = 0
	}
	return p
}

// decide asks the real decision about a token, and breaks the setting's rule.
func (set *Setting) decide(s *state, r row, presented ref) rotation.Verdict {
	position := func(t ref) rotation.Position {
		return rotation.Position{Generation: uint32(s.tokens[t].generation), Branch: uint64(t)}
	}
	current := rotation.State{Current: position(r.current), ConfirmedAt: epoch.Add(-leeway), ExpiresAt: epoch.Add(time.Hour)}
	if r.recent {
		current.ConfirmedAt = epoch
	}
	if r.ended && set.Broken != EndedStaysEnded {
		current.EndedAt, current.EndReason = epoch, rotation.ReuseDetected
	}
	asked := rotation.Token{Position: position(presented), IssuedAt: epoch}
	verdict := rotation.Decide(&current, asked, epoch, set.policy()).Verdict
	return set.breakRule(s, r, presented, verdict)
}

func (set *Setting) breakRule(s *state, r row, presented ref, verdict rotation.Verdict) rotation.Verdict {
	given, current := s.tokens[presented].generation, s.tokens[r.current].generation
	live := verdict != rotation.Refuse
	switch {
	case set.Broken == NewerByMore && live && given > current+1:
		return rotation.Refuse
	case set.Broken == SiblingRefused && live && given == current && presented != r.current:
		return rotation.Confirm
	case set.Broken == OlderRefused && live && given < current:
		return rotation.Confirm
	case set.Broken == ReuseEnds && verdict == rotation.Reuse:
		return rotation.Stale
	}
	return verdict
}
