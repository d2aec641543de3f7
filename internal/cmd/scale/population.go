package main

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// A population is the sessions that are there, so that any of them can be refreshed.
type population struct {
	ids         []rotation.SessionID
	generations []uint32
	// subject has one to three sessions before the next one comes.
	subject string
	left    int
}

var devices = []string{
	"Firefox on Windows", "Chrome on Android", "Safari on iPhone", "Edge on Windows", "Chrome on macOS",
	"tandem command on build-17", "WeChat on Android", "Firefox on Linux",
}

const lifetime = 90 * 24 * time.Hour

// next returns the next session, as a server makes them: random IDs, beginning one
// after the other over the last 90 days.
func (p *population) next(of int) store.Session {
	if p.left == 0 {
		var random [16]byte
		_, _ = rand.Read(random[:])
		p.subject = base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(random[:])
		p.left = 1 + mathrand.IntN(3)
	}
	p.left--
	var id rotation.SessionID
	_, _ = rand.Read(id[:])
	n := len(p.ids)
	p.ids, p.generations = append(p.ids, id), append(p.generations, 3)
	age := lifetime - time.Hour - time.Duration(float64(lifetime-2*time.Hour)*float64(n)/float64(of))
	created := time.UnixMilli(time.Now().Add(-age).UnixMilli())
	return store.Session{
		ID: id,
		State: rotation.State{
			Current:     rotation.Position{Generation: 3, Branch: binary.BigEndian.Uint64(id[:])},
			ConfirmedAt: created.Add(age / 2).Truncate(time.Millisecond),
			ExpiresAt:   created.Add(lifetime),
		},
		Subject:   p.subject,
		Username:  fmt.Sprintf("user%d@example.com", n/2),
		Device:    devices[n%len(devices)],
		IP:        fmt.Sprintf("203.0.%d.%d", n>>8&255, n&255),
		CreatedAt: created,
	}
}

// progress is a bar on a terminal.
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
