package resource

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

// EndSession tells a guard that a session has ended.
func (g *Guard) EndSession(id rotation.SessionID, until time.Time) { g.ended.end(id, until) }

// EndSubject tells a guard that all earlier sessions of a subject have ended.
func (g *Guard) EndSubject(subject string, issuedBefore, until time.Time) {
	g.ended.endSubject(subject, issuedBefore, until)
}

// Forget has a guard forget what has expired by a time.
func (g *Guard) Forget(now time.Time) { g.ended.forget(now) }

// Note has a guard take up an event of the feed.
func (g *Guard) Note(event, id, data string) error { return g.follower.note(event, id, data) }
