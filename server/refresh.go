package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// maxToken bounds the field, not the token: what is too long to be one is
// refused as malformed, as everything else that is none.
const maxToken = maxBody

// maxRounds bounds how often a confirmation may lose against others of the same
// session. Every lost round is another's success, so it takes as many clients
// at once to get there.
const maxRounds = 16

func (s *Server) refresh(w http.ResponseWriter, r *http.Request) error {
	body, err := readFields(w, r)
	if err != nil {
		return err
	}
	text, err := body.text("refreshToken", maxToken)
	if err != nil {
		return err
	}
	token, err := s.codec.Decode(text)
	if err != nil {
		return refused(decodeReason(err))
	}
	session, decision, err := s.rotate(r.Context(), token)
	if err != nil {
		return err
	}
	s.report(r, session, token, decision)
	switch decision.Verdict {
	case rotation.Confirm, rotation.Retry:
		tokens, err := s.newPair(session, s.now(), later(token.IssuedAt, session.ConfirmedAt))
		if err != nil {
			return err
		}
		s.respond(w, r, http.StatusOK, tokens)
		return nil
	case rotation.Stale:
		return &problem{
			status:      http.StatusConflict,
			Code:        codeStale,
			Description: "a newer refresh token was used a moment ago; the session goes on with that one",
		}
	default:
		return refused(string(decision.Reason))
	}
}

// decodeReason tells what is no token from what is one that we do not know.
func decodeReason(err error) string {
	if errors.Is(err, rotation.ErrMalformed) {
		return reasonMalformed
	}
	return string(rotation.Unknown)
}

// rotate decides about a token and carries the decision out. The session it
// returns is in the state that follows.
func (s *Server) rotate(ctx context.Context, token rotation.Token) (store.Session, rotation.Decision, error) {
	for range maxRounds {
		session, state, err := s.lookUp(ctx, token.Session)
		if err != nil {
			return store.Session{}, rotation.Decision{}, err
		}
		decision := rotation.Decide(state, token, s.now(), s.policy)
		carriedOut, err := s.carryOut(ctx, session, decision)
		if err != nil {
			return store.Session{}, rotation.Decision{}, err
		}
		if carriedOut {
			session.State = decision.Next
			return session, decision, nil
		}
	}
	return store.Session{}, rotation.Decision{}, unavailable("confirm a refresh token",
		fmt.Errorf("lost against others %d times", maxRounds))
}

// lookUp returns a session and its state, or no state if there is no such
// session.
func (s *Server) lookUp(ctx context.Context, id rotation.SessionID) (store.Session, *rotation.State, error) {
	session, err := s.cfg.Store.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return store.Session{}, nil, nil
	}
	if err != nil {
		return store.Session{}, nil, unavailable("get a session", err)
	}
	return session, &session.State, nil
}

// carryOut reports whether the decision stands. If it does not, another request
// was faster, and a new one has to be made.
func (s *Server) carryOut(ctx context.Context, session store.Session, decision rotation.Decision) (bool, error) {
	switch decision.Verdict {
	case rotation.Confirm:
		next := decision.Next
		ok, err := s.cfg.Store.Confirm(ctx, session.ID, session.Current, next.Current, next.ConfirmedAt)
		if err != nil {
			return false, unavailable("confirm a refresh token", err)
		}
		return ok, nil
	case rotation.Reuse:
		return true, s.end(ctx, session.ID, decision.Next.EndReason, decision.Next.EndedAt)
	default:
		return true, nil
	}
}

// report tells the operator about a decision that was carried out.
func (s *Server) report(r *http.Request, session store.Session, token rotation.Token, decision rotation.Decision) {
	event := Event{Session: token.Session, Subject: session.Subject}
	emit := func(kind EventKind, reason rotation.EndReason) {
		event.Kind, event.Reason = kind, reason
		s.emit(r, event)
	}
	switch decision.Verdict {
	case rotation.Confirm:
		if decision.StoreWentBack {
			s.cfg.Logger.LogAttrs(r.Context(), slog.LevelWarn,
				"the store has lost confirmations: was it restored from a backup?",
				slog.String("session", token.Session.String()))
			emit(EventStoreWentBack, "")
		}
		emit(EventRefreshed, "")
	case rotation.Retry:
		emit(EventRefreshRetried, "")
	case rotation.Stale:
		emit(EventRefreshStale, "")
	case rotation.Reuse:
		emit(EventReuseDetected, "")
		emit(EventSessionEnded, decision.Reason)
	case rotation.Refuse:
		emit(EventRefreshRefused, decision.Reason)
	}
}
