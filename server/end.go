package server

import (
	"context"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// detached returns a context for what must be done whatever becomes of the
// client: for two calls of the store.
func detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), 2*storeTimeout)
}

// end ends a session for good. It is durable once this returns.
func (s *Server) end(ctx context.Context, id rotation.SessionID, reason rotation.EndReason, at time.Time) error {
	ctx, cancel := detached(ctx)
	defer cancel()
	if err := s.cfg.Store.End(ctx, id, reason, at); err != nil {
		return unavailable("end a session", err)
	}
	return nil
}

// endAndTell ends a live session, and tells the program.
func (s *Server) endAndTell(r *http.Request, session store.Session, reason rotation.EndReason) error {
	if err := s.end(r.Context(), session.ID, reason, s.now()); err != nil {
		return err
	}
	s.emit(r, Event{Kind: EventSessionEnded, Session: session.ID, Subject: session.Subject, Reason: reason})
	return nil
}

// EndSubject ends all sessions that a user has, as revoked: after a change of the
// password, or because the user may not sign in any more. The ends are durable once it
// returns nil. Otherwise it may have ended some; the server goes on by itself for ten
// minutes, or until it is closed, with those that had begun by then.
func (s *Server) EndSubject(ctx context.Context, subject string) error {
	if err := s.endSubject(ctx, subject, rotation.Revoked); err != nil {
		return err
	}
	s.cfg.OnEvent(Event{Kind: EventSessionEnded, Subject: subject, Reason: rotation.Revoked, Time: s.now()})
	return nil
}

// endSubject ends all sessions of a user, whatever becomes of the client.
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
