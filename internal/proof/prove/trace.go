package prove

import (
	"fmt"
	"slices"

	"github.com/tandem-auth/tandem/rotation"
)

// trace tells the way to a breach in words.
func (s *search) trace(b *breachAt) []string {
	steps := []step{b.step}
	for at := b.parent; at != s.root; {
		n := s.shards[at.shard].nodes[at.place]
		steps = append(steps, n.step)
		at = n.parent
	}
	slices.Reverse(steps)

	t := &teller{set: s.set, at: start(), letters: map[uint8]int{}}
	for i := range t.at.count {
		t.name(ref(i), &t.at)
	}
	for _, st := range steps {
		t.tell(st)
	}
	return append(t.lines, string(b.breach))
}

// A teller goes the steps again, and keeps a name for each token: its generation
// and a letter.
type teller struct {
	set     *Setting
	at      state
	names   [maxTokens]string
	letters map[uint8]int
	lines   []string
}

func (t *teller) name(r ref, in *state) {
	generation := in.tokens[r].generation
	t.names[r] = fmt.Sprintf("%d%c", generation, 'a'+t.letters[generation])
	t.letters[generation]++
}

func (t *teller) tell(wanted step) {
	found := false
	from := t.at
	t.set.successors(&from, func(st step, next *state, _ breach) {
		if found || st != wanted {
			return
		}
		found = true
		for i := from.count; i < next.count; i++ {
			t.name(ref(i), next)
		}
		given := ""
		if next.count > from.count {
			given = t.names[next.count-1]
		}
		t.lines = append(t.lines, t.words(st, given))
		canonical, back := next.canonical()
		var names [maxTokens]string
		for i := range canonical.count {
			names[i] = t.names[back[i]]
		}
		t.at, t.names = canonical, names
	})
	if !found {
		panic("prove: a step of the trace cannot be gone again")
	}
}

func (t *teller) words(st step, given string) string {
	process := fmt.Sprintf("process %d", st.process+1)
	token := ""
	if st.token < maxTokens {
		token = t.names[st.token]
	}
	switch st.kind {
	case sends:
		return fmt.Sprintf("%s reads the store and sends refresh token %s", process, token)
	case givesUp:
		return fmt.Sprintf("%s gives up, or crashes, before it has stored an answer", process)
	case stores:
		return fmt.Sprintf("%s comes to store %s", process, token)
	case answered, commits:
		return fmt.Sprintf("the server gets %s from %s: %s", token, process, t.answer(st, given))
	case answeredLost, commitsLost:
		return fmt.Sprintf("the server gets %s from %s: %s; the answer is lost", token, process, t.answer(st, ""))
	case begins:
		return fmt.Sprintf("the server reads the session's row for %s from %s", token, process)
	case passes:
		return "the leeway passes; the network holds nothing back for so long"
	case backsUp:
		return "the server's store is backed up"
	case fallsBack:
		return "the server's store falls back to the backup"
	case steals:
		return fmt.Sprintf("a thief copies %s from the client's store", token)
	case thiefAnswered:
		return fmt.Sprintf("the server gets %s from the thief: %s", token, t.answer(st, given))
	case thiefLost:
		return fmt.Sprintf("the server gets %s from the thief: %s; the answer is lost", token, t.answer(st, ""))
	}
	return "?"
}

func (t *teller) answer(st step, given string) string {
	gives := ""
	if given != "" {
		gives = " and gives " + given
	}
	switch st.verdict {
	case rotation.Confirm:
		return "confirms it" + gives
	case rotation.Retry:
		return "it is the current one again" + gives
	case rotation.Stale:
		return "refuses it as stale"
	case rotation.Reuse:
		return "that is reuse"
	default:
		return "refuses it"
	}
}
