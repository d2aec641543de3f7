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

// asOfNow returns a session with its user's current name and scope, if the directory is a
// [Refresher]. If the directory says that the user is gone, asOfNow ends the session. If
// it returns another error, the server has confirmed the refresh token already; the
// client presents the same token again, as after a lost reply.
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
		return store.Session{}, unavailable("ask the directory for a user", fmt.Errorf("it returned a user other than %s", session.Subject))
	case !isText(identity.Username) || !isText(identity.Scope):
		return store.Session{}, unavailable("ask the directory for a user", errNoText)
	}
	session.Username, session.Scope = identity.Username, identity.Scope
	return session, nil
}
