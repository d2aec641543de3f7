package server

import (
	"context"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// detached returns a context for work that must go on even if the client disconnects. It
// leaves time for two calls of the store.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*storeTimeout)
}

// end ends a session, whatever its state. If it returns nil, the end is durable.
func (s *Server) end(ctx context.Context, id rotation.SessionID, reason rotation.EndReason, at time.Time) error {
	_, err := s.endIf(ctx, id, store.End{Reason: reason, At: at})
	return err
}

// endIf ends a session under the condition of [store.End], and reports whether the session
// has ended. If it returns true, the end is durable.
func (s *Server) endIf(ctx context.Context, id rotation.SessionID, end store.End) (bool, error) {
	ctx, cancel := detached(ctx)
	defer cancel()
	ended, err := s.cfg.Store.End(ctx, id, end)
	if err != nil {
		return false, unavailable("end a session", err)
	}
	return ended, nil
}

// endAndTell ends a live session, and emits an event.
func (s *Server) endAndTell(r *http.Request, session store.Session, reason rotation.EndReason) error {
	if err := s.end(r.Context(), session.ID, reason, s.now()); err != nil {
		return err
	}
	s.emit(r, Event{Kind: EventSessionEnded, Session: session.ID, Subject: session.Subject, Reason: reason})
	return nil
}

// EndSubject ends all sessions of a user, as revoked. Call it after a change of the
// password, or when the user is no longer allowed to sign in. If it returns nil, the ends
// are durable. If it returns an error, it may have ended some of the sessions; the server
// keeps trying in the background to end the sessions that began before the call, for ten
// minutes or until [Server.Close].
func (s *Server) EndSubject(ctx context.Context, subject string) error {
	if err := s.endSubject(ctx, subject, rotation.Revoked); err != nil {
		return err
	}
	s.cfg.OnEvent(Event{Kind: EventSessionEnded, Subject: subject, Reason: rotation.Revoked, Time: s.now()})
	return nil
}

// endSubject ends all sessions of a user, even if the client disconnects.
func (s *Server) endSubject(ctx context.Context, subject string, reason rotation.EndReason) error {
	at := s.now()
	ctx, cancel := detached(ctx)
	defer cancel()
	if _, err := s.cfg.Store.EndSubject(ctx, subject, reason, at); err != nil {
		s.leftovers.add(leftover{subject: subject, reason: reason, at: at})
		return unavailable("end all sessions of a user", err)
	}
	return nil
}
