// Package confirm is how the SQL stores confirm a refresh token: by one statement
// on one row where all is as it should be, and by looking first where it is not.
package confirm

import (
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// Steps are what a store can do, each of them atomic.
type Steps struct {
	// Advance confirms the token if the session is at the given generation and
	// lives. It returns the session as it is then, and whether it did.
	Advance func(from uint32) (store.Session, bool, error)
	// Get returns the session, or [store.ErrNotFound].
	Get func() (store.Session, error)
	// Wait is called where Advance did not confirm a token though it should have:
	// another transaction has locked the session's row. Its error ends the
	// confirmation. It is nil for a store whose Advance waits for the row.
	Wait func() error
}

// Confirm carries out what [server.Store] promises of Confirm.
//
// [server.Store]: https://pkg.go.dev/github.com/tandem-auth/tandem/server#Store
func Confirm(steps Steps, to rotation.Position, at time.Time) (store.Confirmation, error) {
	if to.Generation == 0 { // nothing is below
		session, err := steps.Get()
		return store.Confirmation{Session: session}, err
	}
	// A turn that does not confirm the token has found a row that was locked, or a
	// generation other than the one before: as none is above that of the token, there
	// is an end to those.
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
