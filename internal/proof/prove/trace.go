package prove

import (
	"fmt"
	"slices"

	"github.com/tandem-auth/tandem/renewal"
	"github.com/tandem-auth/tandem/rotation"
)

// trace describes in words the steps to a breach.
func (s *search) trace(b *breachAt) []string {
	steps := []step{b.step}
	for at := b.parent; at != s.root; {
		n := s.shards[at.shard].nodes[at.place]
		steps = append(steps, n.step)
		at = n.parent
	}
	slices.Reverse(steps)

	t := &teller{world: s.world, at: start(), letters: map[uint8]int{}, processes: [...]int{1, 2}}
	for i := range t.at.count {
		t.name(ref(i), &t.at)
	}
	for _, st := range steps {
		t.tell(st)
	}
	return append(t.lines, string(b.breach))
}

// A teller repeats the steps, and names each token by its generation and a letter.
type teller struct {
	world *world
	at    state
	names [maxTokens]string
	// processes has the number of each process: a canonical state may swap them.
	processes [maxProcesses]int
	letters   map[uint8]int
	lines     []string
}

func (t *teller) name(r ref, in *state) {
	generation := in.tokens[r].generation
	t.names[r] = fmt.Sprintf("%d%c", generation, 'a'+t.letters[generation])
	t.letters[generation]++
}

func (t *teller) tell(wanted step) {
	found := false
	from := t.at
	t.world.successors(&from, func(st step, next *state, _ breach) {
		if found || st != wanted {
			return
		}
		found = true
		for i := from.count; i < next.count; i++ {
			t.name(ref(i), next)
		}
		given := ""
		if next.count > from.count {
			given = " and gives " + t.names[next.count-1]
		}
		t.lines = append(t.lines, t.words(st, given))
		canonical, back := t.world.canonical(next)
		var names [maxTokens]string
		for i := range canonical.count {
			names[i] = t.names[back.tokens[i]]
		}
		if back.swapped {
			t.processes[0], t.processes[1] = t.processes[1], t.processes[0]
		}
		t.at, t.names = canonical, names
	})
	if !found {
		panic("prove: a step of the trace cannot be gone again")
	}
}

func (t *teller) words(st step, given string) string {
	process := fmt.Sprintf("process %d", t.processes[st.process])
	token := ""
	if st.token.isToken() {
		token = t.names[st.token]
	}
	switch st.kind {
	case sends:
		return fmt.Sprintf("%s reads the store and presents refresh token %s, its %s", process, token, presentedAs(st.did))
	case adopts:
		return fmt.Sprintf("%s reads the store and adopts %s, which is good", process, storedAs(st.token, token))
	case reloads:
		return fmt.Sprintf("%s reads the store meanwhile and adopts %s", process, storedAs(st.token, token))
	case learns:
		return process + " reads the store and learns that the user has signed out"
	case givesUp:
		return process + " gives up waiting" + concluded(st.did)
	case looks:
		if st.did == renewal.Adopt {
			return fmt.Sprintf("%s reads the store again and adopts %s", process, storedAs(st.token, token))
		}
		return fmt.Sprintf("%s reads the store again, after the answer to %s%s", process, token, concluded(st.did))
	case endFails:
		return process + " tells its user that the session has ended; the store fails to delete it"
	case keeps:
		switch st.did {
		case renewal.Adopt:
			return fmt.Sprintf("%s does not keep what it was given, and adopts %s", process, storedAs(st.token, token))
		case renewal.Discard:
			return fmt.Sprintf("%s discards %s", process, token)
		default:
			return fmt.Sprintf("%s keeps %s", process, token)
		}
	case keepFails:
		return fmt.Sprintf("%s comes to keep %s, and the store fails", process, token)
	case keepUnsure:
		return fmt.Sprintf("%s comes to keep %s; the store keeps it, and says that it has failed", process, token)
	case savesAgain:
		return fmt.Sprintf("%s writes %s, which the store has not kept", process, token)
	case crashes:
		return process + " crashes"
	case signsOut:
		return "the user signs out at " + process
	case signsOutUnheard:
		return fmt.Sprintf("the user signs out at %s; the server doesn't hear of it", process)
	case revokes:
		return "the user revokes the session from elsewhere"
	case signsIn:
		return "another user signs in at " + process
	case signsInElsewhere:
		return fmt.Sprintf("a user signs in at %s, to another server", process)
	case copies:
		return "the client's store is backed up with " + token
	case rollsBack:
		return "the client's store falls back to " + token
	default:
		return t.serverWords(st, process, token, given)
	}
}

func (t *teller) serverWords(st step, process, token, given string) string {
	from := process
	if st.held > 0 {
		from += ", which the network has held back for a tick"
	}
	switch st.kind {
	case answered, commits:
		return fmt.Sprintf("the server gets %s from %s: %s", token, from, answer(st, given))
	case answeredLost, commitsLost:
		return fmt.Sprintf("the server gets %s from %s: %s; the answer is lost", token, from, answer(st, ""))
	case begins:
		return fmt.Sprintf("the server reads the session's row for %s from %s", token, from)
	case passes:
		if t.world.Lifetime > 0 {
			return "a tick passes"
		}
		return "the leeway passes; the network holds nothing back for so long"
	case backsUp:
		return "the server's store is backed up"
	case fallsBack:
		return "the server's store falls back to the backup"
	case steals:
		return fmt.Sprintf("a thief copies %s from the client's store", token)
	case stealsMemory:
		return fmt.Sprintf("a thief copies %s from the memory of %s", token, process)
	case thiefAnswered:
		return fmt.Sprintf("the server gets %s from the thief: %s", token, answer(st, given))
	case thiefLost:
		return fmt.Sprintf("the server gets %s from the thief: %s; the answer is lost", token, answer(st, ""))
	default:
		return "?"
	}
}

func presentedAs(did renewal.Step) string {
	if did == renewal.PresentBase {
		return "base"
	}
	return "live one"
}

func storedAs(r ref, token string) string {
	switch r {
	case anotherSession:
		return "another session"
	case anotherServer:
		return "another server's pair"
	default:
		return token
	}
}

func concluded(did renewal.Step) string {
	if did == renewal.End {
		return ", and tells its user that the session has ended"
	}
	return ""
}

func answer(st step, given string) string {
	switch st.verdict {
	case rotation.Confirm:
		return "confirms it" + given
	case rotation.Retry:
		return "it is the current one again" + given
	case rotation.Stale:
		return "refuses it as stale"
	case rotation.Reuse:
		return "that is reuse"
	case rotation.Expire:
		return "it comes too late, and the session ends"
	default:
		return "refuses it"
	}
}
