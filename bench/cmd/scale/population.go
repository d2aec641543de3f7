package main

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A population records the sessions in a store, so that a measurement can refresh any
// of them.
type population struct {
	ids         []rotation.SessionID
	generations []uint32
	final       int       // how many sessions there will be
	now         time.Time // when the last session begins
	// The current user, who has one to three sessions; left is how many are still to
	// come.
	subject, username string
	left              int
}

const (
	lifetime = 90 * 24 * time.Hour
	// margin is how much longer the oldest sessions live.
	margin = 24 * time.Hour
	// daily is how often a session is refreshed per day, on average.
	daily = 8
)

var devices = []string{
	"Firefox on Windows", "Chrome on Android", "Safari on iPhone", "Edge on Windows", "Chrome on macOS",
	"tandem-cli on linux", "WeChat on Android", "Firefox on Linux",
}

func newPopulation(final int) *population {
	return &population{final: final, now: time.Now().Truncate(time.Millisecond)}
}

// next returns the next session with the data that a server would write: a random ID, a
// beginning within the last 90 days in ascending order, and several refreshes since.
func (p *population) next() store.Session {
	if p.left == 0 {
		p.subject = rand.Text()
		p.username = fmt.Sprintf("user%d@example.com", 1_000_000+mathrand.IntN(9_000_000))
		p.left = 1 + mathrand.IntN(3)
	}
	p.left--
	var random [16 + 8]byte
	_, _ = rand.Read(random[:])
	id := rotation.SessionID(random[:16])
	age := time.Duration(float64(lifetime-margin) * (1 - float64(len(p.ids)+1)/float64(p.final))).Truncate(time.Millisecond)
	created := p.now.Add(-age)
	days := int(age / (24 * time.Hour))
	generation := uint32(mathrand.IntN(2*daily*days + 1))
	confirmed := created
	if generation > 0 {
		confirmed = created.Add(mathrand.N(age)).Truncate(time.Millisecond)
	}
	p.ids, p.generations = append(p.ids, id), append(p.generations, generation)
	return store.Session{
		ID: id,
		State: rotation.State{
			Current:     rotation.Position{Generation: generation, Branch: binary.BigEndian.Uint64(random[16:])},
			ConfirmedAt: confirmed,
			ExpiresAt:   created.Add(lifetime),
		},
		Subject:   p.subject,
		Username:  p.username,
		Device:    devices[mathrand.IntN(len(devices))],
		IP:        fmt.Sprintf("%d.%d.%d.%d", 1+mathrand.IntN(223), mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256)),
		CreatedAt: created,
	}
}

// progress draws a progress bar if standard error is a terminal.
func progress(done, of int) {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return
	}
	const width = 40
	fill := width * done / of
	fmt.Fprintf(os.Stderr, "\r[%-*s] %d of %d sessions", width, bar[:fill], done, of)
	if done == of {
		fmt.Fprintln(os.Stderr)
	}
}

const bar = "########################################"
