package server

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// waiting makes a waiter of a network and a user, such as "a1": both letters.
func waiting(name string) *waiter {
	return &waiter{attempt: attempt{network: keyOf(name[:1]), user: keyOf(name)}, told: make(chan turn, 1)}
}

func TestTurns(t *testing.T) {
	for _, c := range []struct{ name, come, goes string }{
		{"one user in the order of coming", "a1 a1 a1", "a1 a1 a1"},
		{"users of a network take turns", "a1 a1 a1 a2 a3", "a1 a2 a3 a1 a1"},
		{"networks take turns", "a1 a1 a1 b1 c1", "a1 b1 c1 a1 a1"},
		{"many users make no more turns of a network", "a1 a2 a3 a4 b1 b1", "a1 b1 a2 b1 a3 a4"},
		{"nobody", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := fairQueue{ofUser: 10, ofNetwork: 10, altogether: 10}
			names := map[*waiter]string{}
			for name := range strings.FieldsSeq(c.come) {
				w := waiting(name)
				names[w] = name
				if loser := q.add(w); loser != nil {
					t.Fatalf("no room for %s", name)
				}
			}
			var gone []string
			for w := q.take(always); w != nil; w = q.take(always) {
				gone = append(gone, names[w])
			}
			if got := strings.Join(gone, " "); got != c.goes {
				t.Errorf("got %q, want %q", got, c.goes)
			}
			if q.waiting != 0 || len(q.networks) != 0 {
				t.Errorf("%d wait in %d networks when all have gone", q.waiting, len(q.networks))
			}
		})
	}
}

func always(*waiter) bool { return true }

func TestWhoIsNotReadyKeepsThePlace(t *testing.T) {
	q := fairQueue{ofUser: 10, ofNetwork: 10, altogether: 10}
	held, other, last := waiting("a1"), waiting("a2"), waiting("b1")
	for _, w := range []*waiter{held, other, last} {
		q.add(w)
	}
	notHeld := func(w *waiter) bool { return w != held }
	var got []*waiter
	got = append(got, q.take(notHeld), q.take(notHeld), q.take(notHeld), q.take(always))
	if want := []*waiter{other, last, nil, held}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// When the queue is full, a new sign-in displaces one from the longest line, but never one
// of a user or a network that has fewer than the new sign-in's own.
func TestRoomInTheQueue(t *testing.T) {
	for _, c := range []struct{ name, there, comes, loses string }{
		{"a user has a line of their own", "a1 a1 a1", "a1", "a1"},
		{"the user with most makes room in a network", "a1 a1 a1 a2", "a3", "a1"},
		{"all users of a network have one", "a1 a2 a3 a4", "a5", "a5"},
		{"a user who would have the most", "a1 a1 a2 a2", "a2", "a2"},
		{"the network with most makes room", "a1 a2 a3 a3 b1 b2", "c1", "a3"},
		{"a network that would have the most", "a1 a2 b1 b2 c1 c2", "a3", "a3"},
		{"its own network has the most", "a1 a1 a2 b1 b2 c1", "a3", "a1"},
		{"all networks have one", "a1 b1 c1 d1 e1 f1", "g1", "g1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			q := fairQueue{ofUser: 3, ofNetwork: 4, altogether: 6}
			names := map[*waiter]string{nil: "nobody"}
			for name := range strings.FieldsSeq(c.there) {
				w := waiting(name)
				names[w] = name
				if loser := q.add(w); loser != nil {
					t.Fatalf("no room for %s", name)
				}
			}
			before := q.waiting
			w := waiting(c.comes)
			names[w] = c.comes
			if loser := q.add(w); names[loser] != c.loses {
				t.Errorf("%s loses, want %s", names[loser], c.loses)
			}
			if q.waiting != before {
				t.Errorf("%d wait, want %d as before", q.waiting, before)
			}
		})
	}
}

func BenchmarkAFullQueue(b *testing.B) {
	q := fairQueue{ofUser: waitingOfUser, ofNetwork: waitingOfNetwork, altogether: waitingAltogether}
	for i := range waitingAltogether {
		q.add(&waiter{attempt: attempt{network: keyOf(fmt.Sprint("net", i)), user: keyOf(fmt.Sprint(i))}})
	}
	for b.Loop() {
		w := q.take(always)
		q.add(w)
	}
}
