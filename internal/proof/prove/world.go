package prove

import (
	"cmp"
	"math/bits"
	"slices"
)

// Bounds of a state's size. A state that needs more is a mistake in the bounds of
// its setting, and panics.
const (
	maxTokens    = 24
	maxProcesses = 2
)

// A party holds the session. As the owner of a token, it is a set: whom the token
// was given to after the theft.
type party uint8

const (
	nobody party = 0
	client party = 1 << iota
	thief
)

// A ref names a token of a state; none is no token.
type ref uint8

const none ref = 0xff

// A token is a refresh token that somebody or something still has.
type token struct {
	generation uint8
	owner      party
	// flying has a bit for each process whose request with this token is in the
	// network.
	flying uint8
	// stolen says that the thief has it, who forgets none.
	stolen bool
}

type phase uint8

const (
	idle    phase = iota
	waiting       // for the answer to a request with used
	holding       // the answer got, not yet stored
)

// A process is a client process. All share one store.
type process struct {
	phase     phase
	used, got ref
	// kept is what a process of the wrong kind remembers instead of reading the
	// store.
	kept ref
}

// A row is what the server's store has of the session.
type row struct {
	current ref
	recent  bool // confirmed less than the leeway ago
	ended   bool
}

// A handler is a request that the server has begun to work on.
type handler struct {
	presented ref
	from      uint8
	read      row // the row as it was read
}

// A state is the world at one moment. It is comparable, and canonical: see
// canonical.
type state struct {
	tokens [maxTokens]token
	count  uint8

	row      row
	backup   row // to which the store may fall back; none if no backup was made
	fellBack bool

	store     ref // the client's
	processes [maxProcesses]process
	handler   handler

	theft bool // has happened
	// last is the party that was honoured last for a token of its own, and turns
	// how often that changed.
	last  party
	turns uint8
}

// start is a session of which the client has the first refresh token.
func start() state {
	s := state{
		row:    row{current: 0},
		backup: row{current: none},
		store:  1,
		count:  2,
	}
	s.tokens[1].generation = 1
	s.handler = handler{presented: none, read: row{current: none}}
	for i := range s.processes {
		s.processes[i] = process{used: none, got: none, kept: none}
	}
	return s
}

// successor gives out a successor of a token. Where branches are not fresh, those
// of one generation are one token.
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

// A naming says which token of a canonical state is which of the state before.
type naming [maxTokens]ref

// canonical drops the tokens that nobody has any more and orders the others by
// where they first appear, so that states that differ in the names of tokens
// alone become the same.
func (s *state) canonical() (state, naming) {
	var renamed [maxTokens]ref
	for i := range renamed {
		renamed[i] = none
	}
	var back naming
	next := *s
	next.tokens, next.count = [maxTokens]token{}, 0
	visit := func(r *ref) {
		if *r == none {
			return
		}
		if renamed[*r] == none {
			renamed[*r] = ref(next.count)
			next.tokens[next.count] = s.tokens[*r]
			back[next.count] = *r
			next.count++
		}
		*r = renamed[*r]
	}
	visit(&next.row.current)
	visit(&next.store)
	visit(&next.backup.current)
	for i := range next.processes {
		visit(&next.processes[i].used)
		visit(&next.processes[i].got)
		visit(&next.processes[i].kept)
	}
	visit(&next.handler.presented)
	visit(&next.handler.read.current)
	s.visitLoose(&renamed, visit)
	return next, back
}

// visitLoose visits the tokens that are nowhere but in the network or in the
// thief's hands. Those that look alike are alike, so that their order is all the
// same. Of those that the thief has two are enough: one to use, and its sibling.
func (s *state) visitLoose(renamed *[maxTokens]ref, visit func(*ref)) {
	var loose [maxTokens]ref
	n := 0
	for i := range s.count {
		if t := s.tokens[i]; renamed[i] == none && (t.flying != 0 || t.stolen) {
			loose[n] = ref(i)
			n++
		}
	}
	slices.SortStableFunc(loose[:n], func(a, b ref) int { return s.tokens[a].compare(s.tokens[b]) })
	var last token
	alike := 0
	for _, r := range loose[:n] {
		alike++
		if s.tokens[r] != last {
			last, alike = s.tokens[r], 1
		}
		if alike <= 2 || last.flying != 0 {
			visit(&r)
		}
	}
}

func (t token) compare(other token) int {
	stolen := func(t token) int {
		if t.stolen {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(t.generation, other.generation),
		cmp.Compare(t.owner, other.owner),
		cmp.Compare(t.flying, other.flying),
		cmp.Compare(stolen(t), stolen(other)),
	)
}

// flights counts the requests in the network.
func (s *state) flights() int {
	n := 0
	for i := range s.count {
		n += bits.OnesCount8(s.tokens[i].flying)
	}
	return n
}
