package prove

import (
	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// A kind of step.
type kind uint8

const (
	sends            kind = iota // a process reads the store and sends a request
	adopts                       // a process reads the store, and what it adopts is good
	reloads                      // a process reads the store while a refresh is under way, and adopts what it has
	learns                       // a process reads the store, and learns of the sign-out
	givesUp                      // a process stops waiting
	looks                        // a process reads the store again, after an answer without a pair
	keeps                        // a process stores the pair that the server gave it
	keepFails                    // the same, but the store does not keep it
	keepUnsure                   // the same, but the store keeps it and reports a failure
	endFails                     // a process learns that the session has ended, and the store fails to delete the pair
	savesAgain                   // a process stores the pair that the store failed to keep before
	crashes                      // a process forgets everything
	signsOut                     // a user signs out
	signsOutUnheard              // the same, but the server doesn't learn of it
	revokes                      // a user revokes the session from elsewhere
	signsIn                      // a user signs in, in place of the session
	signsInElsewhere             // a user signs in at another server, in place of the session
	copies                       // somebody copies the client's store
	rollsBack                    // the client's store rolls back to the copy
	answered                     // the server answers a request, and the answer arrives
	answeredLost                 // the server answers a request, and the answer is lost
	begins                       // the server reads the row for a request
	commits                      // the server decides on what it has read, and the answer arrives
	commitsLost                  // the same, and the answer is lost
	passes                       // a tick passes
	backsUp                      // the server's store is backed up
	fallsBack                    // the server's store rolls back to the backup
	steals                       // the thief copies what the client's store has
	stealsMemory                 // the thief copies what a process has in its memory
	thiefAnswered
	thiefLost
)

// A step is one thing that happens.
type step struct {
	kind    kind
	process uint8
	held    uint8
	token   ref
	verdict rotation.Verdict // what the server decides
	did     renewal.Step     // what the process decides
}

// A breach is a broken promise; empty if none is.
type breach string

const (
	falseLogout breach = "false logout: the session ended, or the client was told so, and there was no thief"
	silentFork  breach = "silent fork: two parties go on with one session, each with tokens that it was given"
	unseenFork  breach = "silent fork: the second party was refused, and the session goes on"
	undead      breach = "the session goes on after its end"
	livesOn     breach = "the session goes on, though a client was told that it has ended"

	signedOutGoesOn  breach = "the client goes on with a session that was signed out"
	comesBack        breach = "a session that was signed out comes back in the client's store"
	wrongUser        breach = "the client goes on as a user who is not the one in its store"
	sessionReplaced  breach = "the pair of another session is replaced"
	wrongEnd         breach = "the client is told that its session has ended, though its store has another"
	endedAdopted     breach = "the client adopts the session again that has ended"
	foreignPresented breach = "a pair is presented to a server that it is not from"
	foreignReplaced  breach = "the pair of another server is replaced"
)

// A visitor receives a step, the state after it, and the promise that the step breaks.
type visitor = func(step, *state, breach)

// successors calls visit with every possible next state.
func (w *world) successors(s *state, visit visitor) {
	for p := range uint8(w.Processes) {
		w.clientSteps(s, p, visit)
		w.userSteps(s, p, visit)
	}
	for i := range s.count {
		for held, flying := range s.tokens[i].flying {
			for p := range uint8(w.Processes) {
				if flying&(1<<p) != 0 {
					w.serverSteps(s, p, uint8(held), ref(i), visit)
				}
			}
		}
	}
	w.handlerSteps(s, visit)
	w.timeStep(s, visit)
	w.storeSteps(s, visit)
	if w.Thief {
		w.thiefSteps(s, visit)
	}
}

// timeStep lets a tick pass. The network loses the requests that it has held back for the
// longest permitted time. The perfect network of a strict server holds nothing back.
func (w *world) timeStep(s *state, visit visitor) {
	if w.Strict && s.flights() > 0 {
		return
	}
	next := *s
	older := func(age *uint8, limit uint8) {
		if *age < limit {
			*age++
		}
	}
	older(&next.row.age, w.ages)
	if next.backup.current.isToken() {
		older(&next.backup.age, w.ages)
	}
	next.handler = noHandler
	for i := range next.count {
		t := &next.tokens[i]
		copy(t.flying[1:w.Hold+1], t.flying[:w.Hold])
		t.flying[0] = 0
		if w.Lifetime > 0 {
			older(&t.age, w.ages)
		}
	}
	for p := range next.processes {
		if presented := &next.processes[p].basePresented; *presented > 0 {
			older(presented, w.Lifetime/2+2)
		}
	}
	if next != *s {
		visit(step{kind: passes, token: none}, &next, "")
	}
}

// storeSteps lets the stores roll back to an earlier state.
func (w *world) storeSteps(s *state, visit visitor) {
	if w.FallBack && !s.fellBack {
		if s.backup.current == none {
			next := *s
			next.backup = s.row
			visit(step{kind: backsUp, token: none}, &next, "")
		} else if s.backup != s.row {
			next := *s
			next.row = s.backup
			next.backup = row{current: none}
			next.fellBack = true
			visit(step{kind: fallsBack, token: none}, &next, "")
		}
	}
	if s.rollbacks == w.Rollbacks {
		return
	}
	if s.copied == none && s.store.isToken() {
		next := *s
		next.copied = s.store
		visit(step{kind: copies, token: s.store}, &next, "")
	}
	if s.newer(s.store, s.copied) && w.remembered(s) {
		next := *s
		next.store, next.copied = s.copied, none
		next.rollbacks++
		visit(step{kind: rollsBack, token: next.store}, &next, "")
	}
}

// remembered reports whether a process knows what the client's store has, and has
// itself presented, or not yet presented, what was presented last.
func (w *world) remembered(s *state) bool {
	for p := range uint8(w.Processes) {
		proc := &s.processes[p]
		if proc.live == s.store && s.upToDate(proc.base) {
			return true
		}
	}
	return false
}
