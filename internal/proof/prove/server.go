package prove

import (
	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// serverSteps lets the server answer a request of the network, which may deliver the
// request again later.
func (w *world) serverSteps(s *state, p, held uint8, presented ref, visit visitor) {
	if w.Overlap && s.handler.presented == none {
		next := *s
		next.handler = handler{presented: presented, from: p, held: held, read: s.row}
		visit(step{kind: begins, process: p, held: held, token: presented}, &next, "")
	}
	for _, k := range []kind{answered, answeredLost} {
		if w.Strict && k == answeredLost {
			continue
		}
		next := *s
		if w.Strict {
			next.tokens[presented].flying[held] &^= 1 << p
		}
		st, b := w.handle(&next, s.row, request{presented, client, p, held, k == answered})
		st.kind = k
		visit(st, &next, b)
	}
}

// handlerSteps continues the request that the server is working on.
func (w *world) handlerSteps(s *state, visit visitor) {
	if s.handler.presented == none {
		return
	}
	for _, k := range []kind{commits, commitsLost} {
		next := *s
		at := next.handler
		next.handler = noHandler
		st, b := w.handle(&next, at.read, request{at.presented, client, at.from, at.held, k == commits})
		st.kind = k
		visit(st, &next, b)
	}
}

// A request is one that has reached the server.
type request struct {
	presented ref
	by        party
	from      uint8 // the process
	held      uint8 // ticks that the network has held it back
	arrives   bool  // whether the answer reaches the process
}

// handle lets the server decide on a row that it has read, execute the decision and, if
// the answer arrives, answer.
func (w *world) handle(s *state, read row, r request) (step, breach) {
	d := w.decide(s, read, r.presented)
	if read != s.row && w.comparesAndSets(d.Verdict) {
		read = s.row // the compare-and-set failed, so the server reads the row again
		d = w.decide(s, read, r.presented)
	}
	st := step{process: r.from, held: r.held, token: r.presented, verdict: d.Verdict}
	told := false
	switch d.Verdict {
	case rotation.Confirm, rotation.Retry:
		if read.end != lives || d.Verdict == rotation.Confirm && s.row.end != lives {
			return st, undead
		}
		return st, w.honour(s, d.Verdict, r)
	case rotation.Stale:
	case rotation.Reuse:
		told = true
		s.row.finish(byReuse)
	case rotation.Expire:
		told = true
		if s.row.end == lives && s.row.current != read.current && !s.theft {
			return st, falseLogout // the session was refreshed since the server read the row
		}
		s.row.finish(byAge)
	case rotation.Refuse:
		told = true
	}
	if told {
		if b := w.toldEnded(s, read, r, d.Verdict); b != "" {
			return st, b
		}
	}
	if proc := &s.processes[r.from]; r.arrives && r.by == client && proc.phase == waiting && proc.presented == r.presented {
		proc.phase, proc.answer = looking, renewal.Stale
		if told {
			proc.answer = renewal.Ended
		}
	}
	return st, w.mustHaveEnded(s, read, r)
}

// comparesAndSets reports whether the server executes a verdict only on the row that it
// has decided on.
func (w *world) comparesAndSets(verdict rotation.Verdict) bool {
	switch verdict {
	case rotation.Confirm:
		return w.Broken != CompareAndSet
	case rotation.Expire:
		return w.Broken != ExpiresAsRead
	}
	return false
}

// finish ends a session. It keeps an earlier ending.
func (r *row) finish(why ending) {
	if r.end == lives {
		r.end = why
	}
}

// toldEnded returns the promise that the server breaks when it answers that the session
// has ended.
func (w *world) toldEnded(s *state, read row, r request, verdict rotation.Verdict) breach {
	switch {
	case !s.theft && read.end == lives && (verdict == rotation.Reuse || w.inTime(s, read, r)):
		return falseLogout
	case s.row.end != lives:
		return ""
	case !w.Thief:
		return livesOn
	case r.by != client || !r.arrives:
		return ""
	case s.last == thief:
		return unseenFork
	}
	s.told = true
	return ""
}

// inTime reports whether a request was sent before its token had outlived the policy.
func (w *world) inTime(s *state, read row, r request) bool {
	young := func(age uint8) bool { return w.Lifetime == 0 || int(age)-int(r.held) < int(w.Lifetime) }
	if r.presented == read.current {
		return young(read.age) || w.inUse(s, read, r)
	}
	return s.newer(r.presented, read.current) && young(s.tokens[r.presented].age)
}

// inUse reports whether the only process, which does not crash, has a newer, valid token:
// it should have presented that one, so policy must not end the session.
func (w *world) inUse(s *state, read row, r request) bool {
	live := s.processes[r.from].live
	return w.Processes == 1 && !w.Crashes && s.newer(live, read.current) && s.tokens[live].age < w.Lifetime
}

// honour confirms the presented token if the verdict says so, and gives out a successor.
func (w *world) honour(s *state, verdict rotation.Verdict, r request) breach {
	if verdict == rotation.Confirm {
		s.row.current, s.row.age = r.presented, 0
	}
	b := w.takeTurn(s, r)
	if !r.arrives {
		return b
	}
	owner := nobody
	if s.theft {
		owner = r.by
	}
	if r.by == thief {
		s.tokens[s.successor(r.presented, owner, w.Broken != FreshBranches)].stolen = true
		return b
	}
	proc := &s.processes[r.from]
	if proc.phase == waiting && proc.presented == r.presented {
		proc.got, proc.phase = s.successor(r.presented, owner, w.Broken != FreshBranches), holding
	}
	return b
}

// takeTurn records which party goes on with the session: the one that the server honours
// for a token that the server gave to that same party.
func (w *world) takeTurn(s *state, r request) breach {
	if s.told && r.by == thief {
		return unseenFork
	}
	if s.tokens[r.presented].owner&r.by == 0 || s.last == r.by {
		return ""
	}
	if s.last != nobody {
		s.turns++
		if s.turns > w.Turns {
			return silentFork
		}
	}
	s.last = r.by
	return ""
}

// mustHaveEnded returns a breach if the server has refused a second party, with no delayed
// duplicate in the network, and has not ended the session.
func (w *world) mustHaveEnded(s *state, read row, r request) breach {
	second := s.last != nobody && s.last != r.by && s.tokens[r.presented].owner&r.by != 0
	if second && read.age >= w.Leeway && s.row.end == lives {
		return unseenFork
	}
	return ""
}

func (w *world) thiefSteps(s *state, visit visitor) {
	if !s.theft {
		steal := func(k kind, p uint8, r ref) {
			if !r.isToken() {
				return
			}
			next := *s
			next.theft, next.tokens[r].stolen = true, true
			visit(step{kind: k, process: p, token: r}, &next, "")
		}
		steal(steals, 0, s.store)
		for p := range uint8(w.Processes) {
			if live := s.processes[p].live; live != s.store {
				steal(stealsMemory, p, live)
			}
		}
		return
	}
	for i := range s.count {
		if !s.tokens[i].stolen || s.tokens[i].generation > w.Generations {
			continue
		}
		for _, k := range []kind{thiefAnswered, thiefLost} {
			next := *s
			st, b := w.handle(&next, s.row, request{presented: ref(i), by: thief, arrives: k == thiefAnswered})
			st.kind = k
			visit(st, &next, b)
		}
	}
}
