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
