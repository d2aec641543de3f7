package prove

import "github.com/tandem-auth/tandem/rotation"

// A kind of step.
type kind uint8

const (
	sends        kind = iota // a process reads the store and sends a request
	givesUp                  // a process stops waiting, or crashes before it has stored
	stores                   // a process stores what it was given
	answered                 // the server answers a request, and the answer arrives
	answeredLost             // the server answers a request, and the answer is lost
	begins                   // the server reads the row for a request
	commits                  // the server decides on what it has read, and the answer arrives
	commitsLost              // the same, and the answer is lost
	passes                   // the leeway passes
	backsUp                  // the server's store is backed up
	fallsBack                // the server's store falls back to the backup
	steals                   // the thief copies what the client's store has
	thiefAnswered
	thiefLost
)

// A step is one thing that happens.
type step struct {
	kind    kind
	process uint8
	token   ref
	verdict rotation.Verdict
}

// A breach is a promise that was broken. It is empty for none.
type breach string

const (
	falseLogout breach = "false logout: the session ended, or the client was told so, and there was no thief"
	silentFork  breach = "silent fork: two parties go on with one session, each with tokens that it was given"
	unseenFork  breach = "silent fork: the second party was refused, and the session goes on"
	undead      breach = "the session goes on after its end"
)

// successors calls visit with every state that may follow.
func (set *Setting) successors(s *state, visit func(step, *state, breach)) {
	for p := range uint8(set.Processes) {
		set.clientSteps(s, p, visit)
	}
	for i := range s.count {
		for p := range uint8(set.Processes) {
			if s.tokens[i].flying&(1<<p) != 0 {
				set.serverSteps(s, p, ref(i), visit)
			}
		}
	}
	if set.Overlap && s.handler.presented != none {
		for _, k := range []kind{commits, commitsLost} {
			next := *s
			at := next.handler
			next.handler = handler{presented: none, read: row{current: none}}
			st, b := set.handle(&next, at.read, at.presented, client, at.from, k == commits)
			st.kind, st.process = k, at.from
			visit(st, &next, b)
		}
	}
	set.worldSteps(s, visit)
	if set.Thief {
		set.thiefSteps(s, visit)
	}
}

func (set *Setting) clientSteps(s *state, p uint8, visit func(step, *state, breach)) {
	proc := &s.processes[p]
	switch proc.phase {
	case idle:
		if set.Lock && s.busy() {
			return
		}
		next := *s
		used := s.store
		if set.Broken == ReadBeforeRefresh && proc.kept != none {
			used = proc.kept
		}
		next.processes[p] = process{phase: waiting, used: used, got: none, kept: proc.kept}
		next.tokens[used].flying |= 1 << p
		if next.tokens[used].generation <= set.Generations {
			visit(step{kind: sends, process: p, token: used}, &next, "")
		}
	case waiting, holding:
		next := *s
		next.processes[p] = process{used: none, got: none, kept: proc.kept}
		visit(step{kind: givesUp, process: p, token: proc.used}, &next, "")
		if proc.phase == holding {
			next := *s
			next.processes[p] = process{used: none, got: none, kept: proc.kept}
			if s.store == proc.used || set.Broken == StoreCompareAndSwap {
				next.store = proc.got
			}
			if set.Broken == ReadBeforeRefresh {
				next.processes[p].kept = proc.got
			}
			visit(step{kind: stores, process: p, token: proc.got}, &next, "")
		}
	}
}

func (s *state) busy() bool {
	for _, p := range s.processes {
		if p.phase != idle {
			return true
		}
	}
	return false
}

// serverSteps answers a request of the network. It may stay there, to be
// delivered again.
func (set *Setting) serverSteps(s *state, p uint8, presented ref, visit func(step, *state, breach)) {
	if set.Overlap && s.handler.presented == none {
		next := *s
		next.handler = handler{presented: presented, from: p, read: s.row}
		visit(step{kind: begins, process: p, token: presented}, &next, "")
	}
	for _, k := range []kind{answered, answeredLost} {
		next := *s
		st, b := set.handle(&next, s.row, presented, client, p, k == answered)
		st.kind, st.process = k, p
		visit(st, &next, b)
	}
}

func (set *Setting) worldSteps(s *state, visit func(step, *state, breach)) {
	if s.row.recent || s.flights() > 0 {
		next := *s
		next.row.recent, next.backup.recent = false, false
		next.handler = handler{presented: none, read: row{current: none}}
		for i := range next.count {
			next.tokens[i].flying = 0
		}
		visit(step{kind: passes}, &next, "")
	}
	if set.FallBack && !s.fellBack {
		if s.backup.current == none {
			next := *s
			next.backup = s.row
			visit(step{kind: backsUp}, &next, "")
		} else if s.backup != s.row {
			next := *s
			next.row = s.backup
			next.backup = row{current: none}
			next.fellBack = true
			visit(step{kind: fallsBack}, &next, "")
		}
	}
}

func (set *Setting) thiefSteps(s *state, visit func(step, *state, breach)) {
	if !s.theft {
		next := *s
		next.theft, next.tokens[s.store].stolen = true, true
		visit(step{kind: steals, token: s.store}, &next, "")
		return
	}
	for i := range s.count {
		if !s.tokens[i].stolen || s.tokens[i].generation > set.Generations {
			continue
		}
		for _, k := range []kind{thiefAnswered, thiefLost} {
			next := *s
			st, b := set.handle(&next, s.row, ref(i), thief, 0, k == thiefAnswered)
			st.kind = k
			visit(st, &next, b)
		}
	}
}

// handle lets the server decide on a row that it has read, carry the decision
// out and, if arrives is set, answer.
func (set *Setting) handle(s *state, read row, presented ref, by party, p uint8, arrives bool) (step, breach) {
	verdict := set.decide(s, read, presented)
	if verdict == rotation.Confirm && read != s.row && set.Broken != CompareAndSet {
		read = s.row // the compare-and-set was lost: the server reads the row again
		verdict = set.decide(s, read, presented)
	}
	done := step{token: presented, verdict: verdict}
	switch verdict {
	case rotation.Confirm, rotation.Retry:
		if read.ended || verdict == rotation.Confirm && s.row.ended {
			return done, undead
		}
		return done, set.honour(s, verdict, presented, by, p, arrives)
	case rotation.Reuse:
		s.row.ended = true
	}
	if !s.theft && (verdict == rotation.Reuse || verdict == rotation.Refuse) {
		return done, falseLogout
	}
	if arrives && by == client {
		if b := set.refused(s, verdict, presented, p); b != "" {
			return done, b
		}
	}
	return done, s.mustHaveEnded(presented, by, read)
}

// honour confirms a token or not, and gives a successor.
func (set *Setting) honour(s *state, verdict rotation.Verdict, presented ref, by party, p uint8, arrives bool) breach {
	if verdict == rotation.Confirm {
		s.row.current, s.row.recent = presented, true
	}
	b := set.takeTurn(s, presented, by)
	if !arrives {
		return b
	}
	owner := nobody
	if s.theft {
		owner = by
	}
	if by == thief {
		s.tokens[s.successor(presented, owner, set.Broken != FreshBranches)].stolen = true
		return b
	}
	proc := &s.processes[p]
	if proc.phase == waiting && proc.used == presented {
		proc.got, proc.phase = s.successor(presented, owner, set.Broken != FreshBranches), holding
	}
	return b
}

// takeTurn notes who goes on with the session: whoever is honoured for a token
// that it was itself given.
func (set *Setting) takeTurn(s *state, presented ref, by party) breach {
	if s.tokens[presented].owner&by == 0 || s.last == by {
		return ""
	}
	if s.last != nobody {
		s.turns++
		if s.turns > set.Turns {
			return silentFork
		}
	}
	s.last = by
	return ""
}

// refused is what a client does that gets no token.
func (set *Setting) refused(s *state, verdict rotation.Verdict, presented ref, p uint8) breach {
	proc := &s.processes[p]
	if proc.phase != waiting || proc.used != presented {
		return ""
	}
	*proc = process{used: none, got: none, kept: proc.kept}
	if verdict == rotation.Stale && set.Broken == StaleIsNoEnd && !s.theft {
		return falseLogout
	}
	return ""
}

// mustHaveEnded says whether the refusal of a second party, when no delayed
// duplicate can be at work, has left the session alone.
func (s *state) mustHaveEnded(presented ref, by party, read row) breach {
	second := s.last != nobody && s.last != by && s.tokens[presented].owner&by != 0
	if second && !read.recent && !s.row.ended {
		return unseenFork
	}
	return ""
}
