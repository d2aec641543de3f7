package prove

import (
	"time"

	"github.com/tandem-auth/tandem/renewal"
)

// pair returns the pair to which a token belongs, as a client knows it.
func (w *world) pair(s *state, r ref) renewal.Pair {
	switch r {
	case none:
		return renewal.Pair{}
	case anotherSession:
		return renewal.Pair{Issuer: ourIssuer, SessionID: "another session", Revision: 1, RefreshToken: "another session's"}
	case anotherServer:
		return renewal.Pair{Issuer: theirIssuer, SessionID: "another server's", Revision: 1, RefreshToken: "another server's"}
	}
	p := w.pairs[r]
	p.Revision = uint64(s.tokens[r].generation)
	return p
}

// view returns what a process knows that has just read its store.
func (w *world) view(s *state, p uint8) renewal.View {
	proc := &s.processes[p]
	v := renewal.View{
		Live: w.pair(s, proc.live), Base: w.pair(s, proc.base), Stored: w.pair(s, s.store),
		Issuer: ourIssuer, Server: renewal.Forgiving,
	}
	if proc.basePresented > 0 {
		v.BasePresentedAt = ago(proc.basePresented - 1)
	}
	if proc.phase == ended {
		v.EndedSessionID = session
	}
	if w.Strict {
		v.Server = renewal.Strict
	}
	return v
}

// before returns what a process presents by the real decision, or by that of a client
// without the setting's broken rule.
func (w *world) before(s *state, p uint8) renewal.Step {
	v, live := w.view(s, p), s.processes[p].live
	switch {
	case w.Broken == ReadBeforeRefresh && live.isToken(),
		w.Broken == EmptyIsSignedOut && s.store == none,
		w.Broken == SessionAdopted && s.store == anotherSession && live.isToken():
		v.Stored = v.Live
	case w.Broken == ForeignIsLeftAlone:
		v.Issuer = ""
	case w.Broken == EndedNotAdopted:
		v.EndedSessionID = ""
	case w.Broken == BaseNotAtStrict:
		v.Server = renewal.Forgiving
	case w.Broken == HalfTheLifetime:
		v.BasePresentedAt = time.Time{}
	}
	step := renewal.Before(v, now)
	if !live.isToken() || !s.store.isToken() {
		return step
	}
	ahead := s.newer(s.store, live)
	switch {
	case w.Broken == NewerAdopted && step == renewal.Adopt && ahead,
		w.Broken == SiblingAdopted && step == renewal.Adopt && !ahead,
		w.Broken == StoredIsPresented && step == renewal.PresentLive && s.store == live:
		return renewal.PresentBase
	case w.Broken == OlderNotAdopted && s.newer(live, s.store):
		return renewal.Adopt
	case w.Broken == OlderIsNoBase && s.newer(live, s.store) && step == renewal.PresentLive && !w.Strict:
		return renewal.PresentBase
	case w.Broken == UnsavedNotUsed && step == renewal.PresentBase:
		return renewal.PresentLive
	}
	return step
}

// after returns what a process does with an answer by the real decision, or by that of a
// client without the setting's broken rule.
func (w *world) after(s *state, p uint8, answer renewal.Answer) renewal.Step {
	proc := &s.processes[p]
	step := renewal.After(w.view(s, p), w.pair(s, proc.presented), answer, w.pair(s, proc.got))
	switch answer {
	case renewal.Granted:
		return w.breakGrant(s, proc.presented, proc.got, step)
	case renewal.Ended:
		if w.Broken == LookBeforeEnd {
			return renewal.End
		}
	case renewal.Stale:
		if w.Broken == StaleIsNoEnd {
			return renewal.End
		}
	case renewal.Failed:
		if w.Broken == FailedIsNoEnd {
			return renewal.End
		}
	}
	return step
}

func (w *world) breakGrant(s *state, presented, got ref, step renewal.Step) renewal.Step {
	ahead := s.newer(s.store, got)
	switch {
	case w.Broken == EmptyNotFilled && s.store == none,
		w.Broken == ForeignNotReplaced && s.store == anotherServer,
		w.Broken == SessionNotReplaced && s.store == anotherSession,
		w.Broken == NewerNotReplaced && s.store.isToken() && ahead,
		w.Broken == SiblingNotReplaced && s.store.isToken() && !ahead:
		return renewal.Keep
	case w.Broken == OlderReplaced && step == renewal.Keep && s.store != presented:
		return renewal.Adopt
	}
	return step
}

// unsaved returns, by the real decision, whether a process writes the pair that its store
// failed to keep.
func (w *world) unsaved(s *state, p uint8) bool {
	live := s.processes[p].live
	if w.Broken == UnsavedWrittenOlder {
		return live.isToken() && s.store.isToken() && live != s.store
	}
	return renewal.Unsaved(w.view(s, p))
}

func (w *world) clientSteps(s *state, p uint8, visit visitor) {
	proc := &s.processes[p]
	if !w.anyExposed(s) || w.exposed(s, p) && s.upToDate(s.processes[p].live) {
		w.act(s, p, visit)
	}
	if w.Crashes && proc.live.isToken() && !w.exposed(s, p) {
		next := *s
		next.processes[p] = stopped
		visit(step{kind: crashes, process: p, token: none}, &next, "")
	}
}

func (w *world) act(s *state, p uint8, visit visitor) {
	if s.processes[p].underWay() {
		w.reload(s, p, visit)
	}
	switch s.processes[p].phase {
	case idle, ended:
		if !w.Lock || !s.busy() {
			w.begin(s, p, visit)
			w.saveAgain(s, p, visit)
		}
	case waiting:
		if !w.Strict {
			w.giveUp(s, p, visit)
		}
	case looking:
		w.look(s, p, visit)
	case holding:
		w.keep(s, p, visit)
	case left:
	}
}

// underWay reports whether the process is refreshing.
func (proc *process) underWay() bool {
	return proc.phase == waiting || proc.phase == holding || proc.phase == looking
}

// reload lets a process read its store while it is refreshing: an API has rejected the
// access token of another of its goroutines.
func (w *world) reload(s *state, p uint8, visit visitor) {
	if !s.processes[p].live.isToken() || w.before(s, p) != renewal.Adopt {
		return
	}
	if !s.store.isToken() {
		visitAdoption(s, p, reloads, visit)
		return
	}
	next := *s
	proc := &next.processes[p]
	proc.live, proc.base, proc.basePresented, proc.reloaded = s.store, s.store, 0, true
	visit(step{kind: reloads, process: p, token: s.store}, &next, "")
}

// begin lets a process read its store because it needs a new access token. If it adopts a
// pair, the access token of that pair may be usable.
func (w *world) begin(s *state, p uint8, visit visitor) {
	next := *s
	proc := &next.processes[p]
	did := w.before(s, p)
	if did == renewal.Adopt {
		visitAdoption(s, p, adopts, visit)
		if !s.store.isToken() || proc.phase == ended {
			return
		}
		proc.adopt(s.store)
		did = w.before(&next, p)
	}
	present := proc.live
	switch did {
	case renewal.SignedOut:
		*proc = stopped
		visit(step{kind: learns, process: p, token: none}, &next, "")
		return
	case renewal.PresentBase:
		present = proc.base
	case renewal.PresentLive:
	default:
		return
	}
	if next.tokens[present].generation > w.Generations {
		return
	}
	if w.Lifetime > 0 && (proc.base != present || proc.basePresented == 0) {
		proc.basePresented = 1
	}
	proc.base, proc.presented, proc.phase = present, present, waiting
	next.tokens[present].flying[0] |= 1 << p
	b := breach("")
	switch s.store {
	case none:
		b = signedOutGoesOn
	case anotherSession:
		b = wrongUser
	default:
	}
	visit(step{kind: sends, process: p, token: present, did: did}, &next, b)
}

// adopt makes the stored pair live and base.
func (proc *process) adopt(stored ref) {
	*proc = stopped
	if stored.isToken() {
		proc.live, proc.base = stored, stored
	} else {
		proc.phase = left
	}
}

func visitAdoption(s *state, p uint8, k kind, visit visitor) {
	next := *s
	b := breach("")
	switch {
	case s.store == anotherServer:
		b = foreignPresented
	case s.processes[p].phase == ended && s.store.isToken():
		b = endedAdopted
	}
	next.processes[p].adopt(s.store)
	visit(step{kind: k, process: p, token: s.store, did: renewal.Adopt}, &next, b)
}

func (w *world) giveUp(s *state, p uint8, visit visitor) {
	did := w.after(s, p, renewal.Failed)
	if did == renewal.End {
		w.end(s, p, givesUp, visit)
		return
	}
	next := *s
	next.processes[p].rest()
	visit(step{kind: givesUp, process: p, token: s.processes[p].presented, did: did}, &next, "")
}

// rest ends a refresh. The process keeps what it remembers.
func (proc *process) rest() {
	proc.phase, proc.presented, proc.got, proc.answer, proc.reloaded = idle, none, none, 0, false
}

// look lets a process read its store once more, after an answer without a pair.
func (w *world) look(s *state, p uint8, visit visitor) {
	proc := &s.processes[p]
	switch did := w.after(s, p, proc.answer); did {
	case renewal.Adopt:
		w.yield(s, p, looks, visit)
	case renewal.End:
		w.end(s, p, looks, visit)
	default:
		next := *s
		next.processes[p].rest()
		visit(step{kind: looks, process: p, token: proc.presented, did: did}, &next, "")
	}
}

// yield lets a process adopt the stored pair instead of the one that the server gave it; a
// process that has reloaded meanwhile keeps what it reloaded.
func (w *world) yield(s *state, p uint8, k kind, visit visitor) {
	if !s.processes[p].reloaded {
		visitAdoption(s, p, k, visit)
		return
	}
	next := *s
	next.processes[p].rest()
	visit(step{kind: k, process: p, token: s.store, did: renewal.Adopt}, &next, "")
}

// end lets a process tell its user that the session has ended, and delete the session's
// pair from the store.
func (w *world) end(s *state, p uint8, k kind, visit visitor) {
	b := breach("")
	switch {
	case s.row.end == lives && !s.fellBack && !s.told:
		b = falseLogout
	case s.store == anotherSession:
		b = wrongEnd
	}
	next := *s
	next.processes[p] = stopped
	next.processes[p].phase = ended
	st := step{kind: k, process: p, token: s.processes[p].presented, did: renewal.End}
	if s.store.isToken() {
		if w.StoreFaults {
			kept := next
			visit(step{kind: endFails, process: p, token: st.token, did: st.did}, &kept, b)
		}
		next.store = none
	}
	visit(st, &next, b)
}

// keep lets a process store the pair that the server gave it. The store may report a
// failure, and may have kept the pair all the same.
func (w *world) keep(s *state, p uint8, visit visitor) {
	next := *s
	proc := &next.processes[p]
	if proc.reloaded && w.Broken != ReloadedGivesUp {
		proc.rest()
		visit(step{kind: keeps, process: p, token: s.processes[p].got, did: renewal.Discard}, &next, "")
		return
	}
	got := proc.got
	st := step{kind: keeps, process: p, token: got, did: w.after(s, p, renewal.Granted)}
	switch st.did {
	case renewal.Adopt:
		w.yield(s, p, keeps, visit)
		return
	case renewal.Discard:
		*proc = stopped
		visit(st, &next, "")
		return
	default:
	}
	if !proc.reloaded {
		proc.live = got
	}
	proc.rest()
	if w.StoreFaults && st.did == renewal.Keep {
		failed := next
		visit(step{kind: keepFails, process: p, token: got, did: st.did}, &failed, "")
		failed.store = got
		visit(step{kind: keepUnsure, process: p, token: got, did: st.did}, &failed, s.replaces())
	}
	next.store = got
	w.known(&next, p)
	visit(st, &next, s.replaces())
}

// known makes live base once the process knows that the store has live: other processes
// may present live from then on.
func (w *world) known(s *state, p uint8) {
	proc := &s.processes[p]
	if w.Broken != StoredIsBase && proc.base != proc.live {
		proc.base, proc.basePresented = proc.live, 0
	}
}

// saveAgain lets an idle process write what the store has failed to keep.
func (w *world) saveAgain(s *state, p uint8, visit visitor) {
	if s.processes[p].phase != idle || !w.unsaved(s, p) {
		return
	}
	next := *s
	next.store = s.processes[p].live
	w.known(&next, p)
	visit(step{kind: savesAgain, process: p, token: next.store}, &next, s.replaces())
}

// replaces returns the promise that replacing the stored pair breaks.
func (s *state) replaces() breach {
	switch s.store {
	case none:
		return comesBack
	case anotherSession:
		return sessionReplaced
	case anotherServer:
		return foreignReplaced
	}
	return ""
}
