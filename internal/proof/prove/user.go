package prove

// userSteps are those of the people who use the client.
func (w *world) userSteps(s *state, p uint8, visit visitor) {
	if phase := s.processes[p].phase; phase != idle && phase != ended {
		return
	}
	if w.SignOut && s.store.isToken() {
		next := *s
		next.store, next.processes[p] = none, stopped
		unheard := next
		visit(step{kind: signsOutUnheard, process: p, token: none}, &unheard, "")
		if next.row.end == lives {
			next.row.end = bySignOut
		}
		visit(step{kind: signsOut, process: p, token: none}, &next, "")
	}
	if w.SignOut && s.row.end == lives {
		next := *s
		next.row.end = bySignOut
		visit(step{kind: revokes, process: p, token: none}, &next, "")
	}
	signIn := func(k kind, stored ref) {
		next := *s
		next.store, next.processes[p] = stored, stopped
		next.processes[p].phase = left
		visit(step{kind: k, process: p, token: none}, &next, "")
	}
	if w.OtherUser && s.store != anotherSession {
		signIn(signsIn, anotherSession)
	}
	if w.OtherServer && s.store != anotherServer {
		signIn(signsInElsewhere, anotherServer)
	}
}
