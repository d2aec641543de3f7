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
	// pageOfSessions is how many sessions of a user are read at once.
	pageOfSessions = 1000
	// endsOfASignIn bounds how many sessions one sign-in ends, all at the same time.
	// Where more are too many, the sign-ins that follow end them.
	endsOfASignIn = 64
)

// reach is how long after its issue a token may be presented.
func (s *Server) reach() time.Duration {
	return max(s.cfg.RefreshTTL+max(s.cfg.Leeway, 0), s.cfg.AccessTTL)
}

// isDead reports whether no token of a session can be good any more. That takes
// longer than a token lasts: while it lasts, the current token may be presented again,
// and each time a successor is issued, which lasts as long again, and nothing is
// written.
func (s *Server) isDead(session store.Session, now time.Time) bool {
	if _, ended := session.Ended(now); ended {
		return true
	}
	reach := s.reach()
	if session.Current.Generation > 0 { // else nobody was ever given the current token
		reach *= 2
	}
	return now.After(session.ConfirmedAt.Add(reach))
}

// isDeadForSure is isDead for a store that may have lost a confirmation: up to when that
// token was good it may have been confirmed, and then presented again for as long. As
// with a sweep, a machine that comes up with a wrong clock gets some time to put it
// right.
func (s *Server) isDeadForSure(session store.Session, now time.Time) bool {
	return time.Since(s.started) >= sweepEvery && now.After(session.ConfirmedAt.Add(4*s.reach()))
}

// thinOut ends the sessions of a user that are dead and, where the others are more than
// MaxSessions, those that were idle for longest. The one that has just begun stays. A
// failure is no reason to refuse a sign-in: the next one tries again.
func (s *Server) thinOut(r *http.Request, begun store.Session) {
	if s.cfg.MaxSessions < 0 {
		return
	}
	others, err := s.othersOf(r, begun)
	if err == nil {
		err = s.endSome(r, s.tooMany(others, begun.CreatedAt))
	}
	if err != nil && r.Context().Err() == nil {
		s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn,
			"cannot end the sessions that are too many for a user; the next sign-in tries again",
			slog.String("subject", begun.Subject), slog.Any("error", err))
	}
}

// An idleSession is what thinOut has to know of a session.
type idleSession struct {
	store.Session
	reason rotation.EndReason
}

// othersOf returns the sessions of a user but for one.
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

// tooMany picks those that are to end.
func (s *Server) tooMany(others []store.Session, now time.Time) []idleSession {
	slices.SortFunc(others, func(a, b store.Session) int {
		return cmp.Or(a.ConfirmedAt.Compare(b.ConfirmedAt), slices.Compare(a.ID[:], b.ID[:]))
	})
	var over []idleSession
	excess := len(others) + 1 - s.cfg.MaxSessions
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

// endSome ends sessions, and tells the program.
func (s *Server) endSome(r *http.Request, over []idleSession) error {
	return inGroups(over, endsOfASignIn, func(one idleSession) error {
		err := s.end(r.Context(), one.ID, one.reason, s.now())
		if err == nil {
			s.emit(r, Event{Kind: EventSessionEnded, Session: one.ID, Subject: one.Subject, Reason: one.reason})
		}
		return err
	})
}
