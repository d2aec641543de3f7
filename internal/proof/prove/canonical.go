package prove

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/tandem-auth/tandem/renewal"
)

// A naming maps the tokens and processes of a canonical state to those of the state
// before.
type naming struct {
	tokens  [maxTokens]ref
	swapped bool
}

// canonical returns the state that represents all equivalent states: it drops what no
// later step reads, and names tokens and processes by their roles.
func (w *world) canonical(s *state) (state, naming) {
	next := *s
	if w.Broken == "" {
		w.forget(&next)
	}
	var back naming
	if w.Processes == maxProcesses && slices.Compare(next.looks(0), next.looks(1)) > 0 {
		next.swapProcesses()
		back.swapped = true
	}
	return next.rename(back)
}

// forget drops what does not influence later steps.
func (w *world) forget(s *state) {
	if s.row.end != lives && s.handler.presented == none && (!w.FallBack || s.fellBack) {
		// The session has ended: the server honours nobody any more.
		s.row.age, s.last, s.turns = 0, nobody, 0
		for i := range s.count {
			s.tokens[i].age, s.tokens[i].owner = 0, nobody
		}
	}
	for i, oldest := 0, s.oldestCurrent(); i < int(s.count); i++ {
		if s.tokens[i].generation <= oldest {
			s.tokens[i].age = 0
		}
	}
	if w.SignOut || s.rollbacks < w.Rollbacks || w.Thief && !s.theft {
		return
	}
	for p := range uint8(w.Processes) {
		if w.goesByTheStore(s, p) {
			s.processes[p] = stopped
		}
	}
}

// goesByTheStore reports whether an idle process will adopt the stored pair, as a newly
// started one does. That stays so as long as the store does not roll back.
func (w *world) goesByTheStore(s *state, p uint8) bool {
	proc := &s.processes[p]
	if proc.phase != idle || !proc.live.isToken() || !s.store.isToken() {
		return false
	}
	switch renewal.Before(w.view(s, p), now) {
	case renewal.Adopt:
		return true
	case renewal.PresentLive:
		return proc.live == s.store && (proc.base != proc.live || proc.basePresented == 0)
	default:
		return false
	}
}

// looks describes a process without the names of tokens.
func (s *state) looks(p uint8) []uint8 {
	proc := &s.processes[p]
	flights := uint8(0)
	for i := range s.count {
		for held, flying := range s.tokens[i].flying {
			flights += (flying >> p & 1) * (s.tokens[i].generation*2 + uint8(held) + 1)
		}
	}
	generation := func(r ref) uint8 {
		if !r.isToken() {
			return uint8(r)
		}
		return s.tokens[r].generation
	}
	is := func(a, b ref) uint8 {
		if a == b {
			return 1
		}
		return 0
	}
	return []uint8{
		uint8(proc.phase), uint8(proc.answer), proc.basePresented, flights,
		generation(proc.live), generation(proc.base), generation(proc.presented), generation(proc.got),
		is(proc.live, s.store), is(proc.live, proc.presented), is(proc.base, s.store), is(proc.base, s.row.current), is(proc.presented, s.row.current),
	}
}

func (s *state) swapProcesses() {
	s.processes[0], s.processes[1] = s.processes[1], s.processes[0]
	for i := range s.count {
		for held, flying := range s.tokens[i].flying {
			s.tokens[i].flying[held] = flying&1<<1 | flying>>1&1
		}
	}
	if s.handler.presented.isToken() {
		s.handler.from = 1 - s.handler.from
	}
}

// rename drops the tokens that nobody has any more, and numbers the others in the order in
// which they first appear in the state.
func (s *state) rename(back naming) (state, naming) {
	var renamed [maxTokens]ref
	for i := range renamed {
		renamed[i] = none
	}
	next := *s
	next.tokens, next.count = [maxTokens]token{}, 0
	visit := func(r *ref) {
		if !r.isToken() {
			return
		}
		if renamed[*r] == none {
			renamed[*r] = ref(next.count)
			next.tokens[next.count] = s.tokens[*r]
			back.tokens[next.count] = *r
			next.count++
		}
		*r = renamed[*r]
	}
	visit(&next.row.current)
	visit(&next.store)
	visit(&next.copied)
	visit(&next.backup.current)
	for i := range next.processes {
		p := &next.processes[i]
		visit(&p.live)
		visit(&p.base)
		visit(&p.presented)
		visit(&p.got)
	}
	visit(&next.handler.presented)
	visit(&next.handler.read.current)
	s.visitLoose(&renamed, visit)
	return next, back
}

// oldestCurrent returns the generation of the current token, or of an earlier token that
// may still be current: the ages of tokens below it do not count.
func (s *state) oldestCurrent() uint8 {
	generation := s.tokens[s.row.current].generation
	for _, r := range []ref{s.backup.current, s.handler.read.current} {
		if r.isToken() {
			generation = min(generation, s.tokens[r].generation)
		}
	}
	return generation
}

// visitLoose visits the tokens that only the network or the thief has. Tokens with the
// same attributes are equivalent, so their order does not matter. It keeps two of the
// thief's equivalent tokens: one to present, and its sibling.
func (s *state) visitLoose(renamed *[maxTokens]ref, visit func(*ref)) {
	var loose [maxTokens]ref
	n := 0
	for i := range s.count {
		if t := s.tokens[i]; renamed[i] == none && (t.flies() || t.stolen) {
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
		if alike <= 2 || last.flies() {
			visit(&r)
		}
	}
}

func (t token) flies() bool { return t.flying != [maxHold + 1]uint8{} }

func (t token) compare(other token) int {
	stolen := func(t token) int {
		if t.stolen {
			return 1
		}
		return 0
	}
	return cmp.Or(
		cmp.Compare(t.generation, other.generation),
		cmp.Compare(t.age, other.age),
		cmp.Compare(t.owner, other.owner),
		slices.Compare(t.flying[:], other.flying[:]),
		cmp.Compare(stolen(t), stolen(other)),
	)
}

// flights counts the requests in the network.
func (s *state) flights() int {
	n := 0
	for i := range s.count {
		for _, flying := range s.tokens[i].flying {
			n += bits.OnesCount8(flying)
		}
	}
	return n
}
