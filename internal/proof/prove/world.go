package prove

import (
	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// Bounds of a state's size. A state that exceeds them panics: the bounds of its setting
// are wrong.
const (
	maxTokens    = 24
	maxProcesses = 2
	maxHold      = 1
)

// A party holds the session. As the owner of a token, a party is a set: everyone to whom
// the server gave the token after the theft.
type party uint8

const (
	nobody party = 0
	client party = 1 << iota
	thief
)

// A ref names a token of a state, with the pair that it came with; or it is one of
// those below.
type ref uint8

const (
	none ref = 0xff - iota // no token: in the client's store, that of one who is signed out
	anotherSession
	anotherServer
)

// isToken reports whether r names a token of the session.
func (r ref) isToken() bool { return r < maxTokens }

// A token is a refresh token that somebody or something still has.
type token struct {
	generation uint8
	age        uint8 // ticks since it was given out
	owner      party
	// stolen reports that the thief has the token; the thief forgets none.
	stolen bool
	// flying has, for each number of ticks that a request is under way, a bit for each
	// process whose request with this token is in the network.
	flying [maxHold + 1]uint8
}

type phase uint8

const (
	idle    phase = iota
	waiting       // for the answer to a request with presented
	holding       // has the answer, and has not stored it yet
	looking       // about to read the store again, after an answer without a pair
	ended         // was told that the session has ended
	left          // has adopted another session
)

// A process is a client process. All processes share one store. A process without a live
// pair has crashed, or has not started yet.
type process struct {
	phase          phase
	live, base     ref
	basePresented  uint8 // ticks since base was first presented, plus one; 0 if it was not
	presented, got ref
	answer         renewal.Answer // while looking
	reloaded       bool           // live was replaced while the refresh was under way
}

var stopped = process{live: none, base: none, presented: none, got: none}

// An ending is why a row has ended.
type ending uint8

const (
	lives ending = iota
	byReuse
	byAge
	bySignOut
)

var reasons = [...]rotation.EndReason{
	byReuse: rotation.ReuseDetected, byAge: rotation.Expired, bySignOut: rotation.SignedOut,
}

// A row is the session as the server's store has it.
type row struct {
	current ref
	age     uint8 // ticks since the confirmation
	end     ending
}

// A handler is a request that the server has begun to work on.
type handler struct {
	presented ref
	from      uint8
	held      uint8
	read      row // the row as it was read
}

var noHandler = handler{presented: none, read: row{current: none}}

// A state is the world at one moment. It is comparable, and canonical: see
// canonical.
type state struct {
	tokens [maxTokens]token
	count  uint8

	row      row
	backup   row // to which the store may roll back; none if there is no backup
	fellBack bool

	store     ref // the client's
	copied    ref // to which the client's store may roll back
	rollbacks uint8
	processes [maxProcesses]process
	handler   handler

	theft bool // has happened
	// last is the party that the server last honoured for a token of that party's own;
	// turns is how often last changed.
	last  party
	turns uint8
	// told reports that the server told the client that the session has ended, though the
	// session lives.
	told bool
}

// start is a session of which the client has the first refresh token.
func start() state {
	s := state{
		row:     row{current: 0},
		backup:  row{current: none},
		store:   1,
		copied:  none,
		count:   2,
		handler: noHandler,
	}
	s.tokens[1].generation = 1
	for i := range s.processes {
		s.processes[i] = stopped
	}
	return s
}

// successor creates a successor of a token. If fresh is false, all successors of one
// generation are the same token.
func (s *state) successor(of ref, owner party, fresh bool) ref {
	generation := s.tokens[of].generation + 1
	for i := range s.count {
		if !fresh && s.tokens[i].generation == generation {
			s.tokens[i].owner |= owner
			return ref(i)
		}
	}
	if s.count == maxTokens {
		panic("prove: more tokens than a state has room for")
	}
	s.tokens[s.count] = token{generation: generation, owner: owner}
	s.count++
	return ref(s.count - 1)
}

// newer reports whether r is of a later generation than q. Both may be none.
func (s *state) newer(r, q ref) bool {
	return r.isToken() && q.isToken() && s.tokens[r].generation > s.tokens[q].generation
}

// exposed reports whether a process has presented, or adopted, a later token than the
// stored one, so that only this process knows it. That does not happen unless stores roll
// back or tokens expire.
func (w *world) exposed(s *state, p uint8) bool {
	known := s.processes[p].base
	if w.Broken == StoredIsBase {
		known = s.processes[p].live
	}
	return (w.Rollbacks > 0 || w.Lifetime > 0) && s.newer(known, s.store)
}

func (w *world) anyExposed(s *state) bool {
	for p := range uint8(w.Processes) {
		if w.exposed(s, p) {
			return true
		}
	}
	return false
}

// upToDate reports whether no token that was presented is later than r, or a sibling
// of it.
func (s *state) upToDate(r ref) bool {
	overtaken := func(q ref) bool { return q != r && s.tokens[q].generation >= s.tokens[r].generation }
	if !r.isToken() || overtaken(s.row.current) {
		return false
	}
	for i := range s.count {
		if s.tokens[i].flies() && overtaken(ref(i)) {
			return false
		}
	}
	return true
}

func (s *state) busy() bool {
	for _, p := range s.processes {
		if p.underWay() {
			return true
		}
	}
	return false
}
