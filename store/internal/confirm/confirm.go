// Package confirm confirms refresh tokens for the SQL stores. In the usual case one
// statement on one row does it; only if that statement finds the row in another state
// does the store read the session.
package confirm

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// Steps are the operations of a store that [Confirm] calls. Each of them is atomic.
type Steps struct {
	// Advance confirms the token if the session lives and its generation is from. It
	// returns the session after the change, and whether it confirmed the token.
	Advance func(from uint32) (store.Session, bool, error)
	// Get returns the session, or [store.ErrNotFound].
	Get func() (store.Session, error)
	// Wait pauses before the next attempt. Confirm calls it when Advance did not
	// confirm a token although the generation matches, because another transaction has
	// locked the session's row. If Wait returns an error, Confirm returns it. Wait is
	// nil for a store whose Advance waits for the row.
	Wait func() error
}

// Confirm implements the method Confirm of [server.Store].
//
// [server.Store]: https://pkg.go.dev/github.com/tandem-auth/tandem/server#Store
func Confirm(steps Steps, to rotation.Position, at time.Time) (store.Confirmation, error) {
	if to.Generation == 0 { // no lower generation exists
		session, err := steps.Get()
		return store.Confirmation{Session: session}, err
	}
	// If Advance does not confirm the token, the row was locked or the session has
	// another generation. The loop ends: generations only go up, and it returns at the
	// token's own generation at the latest.
	for from := to.Generation - 1; ; {
		session, confirmed, err := steps.Advance(from)
		if err != nil || confirmed {
			return store.Confirmation{Session: session, Confirmed: confirmed, Previous: from}, err
		}
		session, err = steps.Get()
		if _, ended := session.Ended(at); err != nil || ended || session.Current.Generation >= to.Generation {
			return store.Confirmation{Session: session}, err
		}
		if session.Current.Generation == from && steps.Wait != nil {
			if err := steps.Wait(); err != nil {
				return store.Confirmation{}, err
			}
		}
		from = session.Current.Generation
	}
}
