package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// asOfNowTimeout bounds how long a refresh waits for the directory.
const asOfNowTimeout = 5 * time.Second

// asOfNow returns a session with what its user may do now, if the directory can tell,
// and ends it if the user may not be signed in any more. The refresh token has been
// confirmed by then: a client that is asked to come again is in the place of one whose
// answer was lost, and presents it again.
func (s *Server) asOfNow(r *http.Request, session store.Session) (store.Session, error) {
	directory, ok := s.cfg.Directory.(Refresher)
	if !ok {
		return session, nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), asOfNowTimeout)
	defer cancel()
	identity, err := directory.Refresh(ctx, Identity{
		Subject:  session.Subject,
		Username: session.Username,
		Scope:    session.Scope,
	})
	switch {
	case errors.Is(err, ErrUserGone):
		if err := s.endAndTell(r, session, rotation.Revoked); err != nil {
			return store.Session{}, err
		}
		return store.Session{}, refused(string(rotation.Revoked))
	case err != nil:
		return store.Session{}, unavailable("ask the directory for a user", err)
	case identity.Subject != session.Subject:
		return store.Session{}, unavailable("ask the directory for a user", fmt.Errorf("it returned another one than %s", session.Subject))
	case !isText(identity.Username) || !isText(identity.Scope):
		return store.Session{}, unavailable("ask the directory for a user", errNoText)
	}
	session.Username, session.Scope = identity.Username, identity.Scope
	return session, nil
}
