package resource_test

import (
	"testing"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
)

// A session that has ended is refused from then on, though its token is in the cache; and
// no other session is.
func TestAnEndedSessionIsRefused(t *testing.T) {
	i := newIssuer(t, accesstoken.EdDSA)
	g := i.guard()
	first := i.sign()
	second := i.sign(func(c *accesstoken.Claims) { c.SessionID = rotation.SessionID{2} })
	expect := func(token string, ended bool) {
		t.Helper()
		for range 2 {
			_, err := g.Verify(t.Context(), token)
			if (err != nil) != ended || err != nil && err.Error() != "the session has ended" {
				t.Errorf("the guard says %v, want ended %t", err, ended)
			}
		}
	}
	expect(first, false)
	expect(second, false)
	until := time.Now().Add(time.Hour)
	g.EndSession(ann.SessionID, until)
	expect(first, true)
	expect(second, false)

	g.EndSubject(ann.Subject, time.Now().Add(-time.Hour), until)
	expect(second, false) // it was issued afterwards
	g.EndSubject(ann.Subject, time.Now().Add(time.Minute), until)
	expect(second, true)
	g.EndSubject(ann.Subject, time.Now().Add(-time.Hour), until) // an old event once more
	expect(second, true)
	expect(i.sign(func(c *accesstoken.Claims) { c.Subject, c.SessionID = "user-bob", rotation.SessionID{3} }), false)

	g.Forget(until.Add(-time.Second))
	expect(first, true)
	g.Forget(until) // by then, the tokens have expired
	expect(i.sign(), false)
}
