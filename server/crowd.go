package server

import (
	"cmp"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

const (
	// pageOfSessions is how many sessions of a user the server reads per call.
	pageOfSessions = 1000
	// endsOfASignIn bounds how many sessions one sign-in ends, all concurrently. The
	// next sign-ins end the remaining ones.
	endsOfASignIn = 64
)

// reach returns how long after its issue the server accepts a token, access or refresh.
func (s *Server) reach() time.Duration {
	return max(s.cfg.RefreshTTL+max(s.cfg.Leeway, 0), s.cfg.AccessTTL)
}

// isDead reports whether every token of a session has expired. That takes up to twice
// the lifetime of a token after the last confirmation: a client may present the current
// token again until it expires; the server then issues a successor, which has a full
// lifetime, and writes nothing.
func (s *Server) isDead(session store.Session, now time.Time) bool {
	if _, ended := session.Ended(now); ended {
		return true
	}
	reach := s.reach()
	if session.Current.Generation > 0 { // no client ever receives the token of generation 0
		reach *= 2
	}
	return now.After(session.ConfirmedAt.Add(reach))
}

// idleSince returns the time before which the current token of a session was confirmed
// that is certainly dead, even if the store has lost its latest confirmation. The lost one
// may have happened up to two lifetimes of a token after ConfirmedAt, and the session's
// tokens expire up to two lifetimes after that.
func (s *Server) idleSince(now time.Time) time.Time { return now.Add(-4 * s.reach()) }

// isDeadForSure reports whether a session is dead by [Server.idleSince]. In the first
// sweepEvery after the server's start it returns false, because the machine may have
// started with a wrong clock.
func (s *Server) isDeadForSure(session store.Session, now time.Time) bool {
	return time.Since(s.started) >= sweepEvery && session.ConfirmedAt.Before(s.idleSince(now))
}

// thinOut ends the dead sessions of a user. If the user has more than MaxSessions left,
// it ends those that have been idle for longest. It does not end the session that has
// just begun. If it fails, it does not fail the sign-in; the user's next sign-in tries
// again.
func (s *Server) thinOut(r *http.Request, begun store.Session) {
	limit := s.reloadable.Load().maxSessions
	if limit < 0 {
		return
	}
	others, err := s.othersOf(r, begun)
	if err == nil {
		err = s.endSome(r, s.tooMany(others, limit, begun.CreatedAt))
	}
	if err != nil && r.Context().Err() == nil {
		s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn,
			"cannot end a user's sessions beyond the limit; the next sign-in tries again",
			slog.String("subject", begun.Subject), slog.Any("error", err))
	}
}

// An idleSession is a session for thinOut to end, and the reason.
type idleSession struct {
	store.Session
	reason rotation.EndReason
}

// othersOf returns all sessions of a user except one.
func (s *Server) othersOf(r *http.Request, but store.Session) ([]store.Session, error) {
	var others []store.Session
	page := store.Page{Limit: pageOfSessions}
	for {
		part, err := s.cfg.Store.List(r.Context(), but.Subject, page)
		if err != nil {
			return nil, err
		}
		for _, session := range part {
			if session.ID != but.ID {
				others = append(others, session)
			}
		}
		if len(part) < page.Limit {
			return others, nil
		}
		page.After = part[len(part)-1].Place()
	}
}

// tooMany returns the sessions for thinOut to end, idle longest first.
func (s *Server) tooMany(others []store.Session, limit int, now time.Time) []idleSession {
	slices.SortFunc(others, func(a, b store.Session) int {
		return cmp.Or(a.ConfirmedAt.Compare(b.ConfirmedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	var over []idleSession
	excess := len(others) + 1 - limit
	for i, session := range others {
		switch {
		case s.isDeadForSure(session, now):
			over = append(over, idleSession{session, rotation.Expired})
		case i < excess:
			over = append(over, idleSession{session, rotation.Revoked})
		}
	}
	return over[:min(len(over), endsOfASignIn)]
}

// endSome ends sessions, and emits an event for each. It leaves a session alone that a
// client has refreshed since the server listed it: that session is idle no longer.
func (s *Server) endSome(r *http.Request, over []idleSession) error {
	return inGroups(over, endsOfASignIn, func(one idleSession) error {
		ended, err := s.endIf(r.Context(), one.ID, store.End{Reason: one.reason, At: s.now(), If: &one.Current})
		if ended {
			s.emit(r, Event{Kind: EventSessionEnded, Session: one.ID, Subject: one.Subject, Reason: one.reason})
		}
		return err
	})
}
