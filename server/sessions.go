package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

type meAnswer struct {
	Subject   string    `json:"subject"`
	Username  string    `json:"username"`
	Scope     string    `json:"scope"`
	SessionID string    `json:"sessionId"`
	ClientID  string    `json:"clientId"`
	ExpiresAt time.Time `json:"expiresAt"`
}

type sessionsAnswer struct {
	Sessions []sessionAnswer `json:"sessions"`
	// Next is the value of the query parameter after for the next page. It is empty
	// if there is no next page.
	Next string `json:"next,omitempty"`
}

type sessionAnswer struct {
	ID            string    `json:"id"`
	Device        string    `json:"device"`
	IP            string    `json:"ip"`
	CreatedAt     time.Time `json:"createdAt"`
	LastRefreshAt time.Time `json:"lastRefreshAt"`
	ExpiresAt     time.Time `json:"expiresAt"`
	Current       bool      `json:"current"`
}

// me answers with the user of the access token.
func (s *Server) me(w http.ResponseWriter, r *http.Request) error {
	access, err := s.authorize(r)
	if err != nil {
		return err
	}
	s.respond(w, r, http.StatusOK, meAnswer{
		Subject:   access.Subject,
		Username:  access.Username,
		Scope:     access.Scope,
		SessionID: access.SessionID.String(),
		ClientID:  access.ClientID,
		ExpiresAt: access.ExpiresAt.UTC(),
	})
	return nil
}

// listSessions lists a page of the user's live sessions, newest first.
func (s *Server) listSessions(w http.ResponseWriter, r *http.Request) error {
	access, err := s.authorize(r)
	if err != nil {
		return err
	}
	page, err := readPage(r)
	if err != nil {
		return err
	}
	sessions, err := s.cfg.Store.List(r.Context(), access.Subject, page)
	if err != nil {
		return unavailable("list sessions", err)
	}
	now := s.now()
	answer := sessionsAnswer{Sessions: []sessionAnswer{}}
	for _, session := range sessions {
		if session.ID == access.SessionID || !s.isDead(session, now) {
			answer.Sessions = append(answer.Sessions, describe(session, access.SessionID))
		}
	}
	if len(sessions) == page.Limit {
		answer.Next = formatPlace(sessions[len(sessions)-1].Place())
	}
	s.respond(w, r, http.StatusOK, answer)
	return nil
}

func describe(session store.Session, current rotation.SessionID) sessionAnswer {
	return sessionAnswer{
		ID:            session.ID.String(),
		Device:        session.Device,
		IP:            session.IP,
		CreatedAt:     session.CreatedAt.UTC(),
		LastRefreshAt: session.ConfirmedAt.UTC(),
		ExpiresAt:     session.ExpiresAt.UTC(),
		Current:       session.ID == current,
	}
}

// lookUp returns a session, ended or not, and whether the store has it.
func (s *Server) lookUp(ctx context.Context, id rotation.SessionID) (_ store.Session, found bool, _ error) {
	session, err := s.cfg.Store.Get(ctx, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return store.Session{}, false, nil
	case err != nil:
		return store.Session{}, false, unavailable("get a session", err)
	}
	return session, true, nil
}

// endSession ends one of the user's sessions.
func (s *Server) endSession(w http.ResponseWriter, r *http.Request) error {
	access, err := s.authorize(r)
	if err != nil {
		return err
	}
	noSuchSession := notFound("you have no such session, or it has ended already")
	id, err := rotation.ParseSessionID(r.PathValue("id"))
	if err != nil {
		return noSuchSession
	}
	session, found, err := s.lookUp(r.Context(), id)
	if err != nil {
		return err
	}
	if !found || session.Subject != access.Subject {
		return noSuchSession
	}
	if _, ended := session.Ended(s.now()); ended {
		return noSuchSession
	}
	reason := rotation.Revoked
	if id == access.SessionID {
		reason = rotation.SignedOut
	}
	if err := s.endAndTell(r, session, reason); err != nil {
		return err
	}
	done(w)
	return nil
}

// endAllSessions ends all sessions of the user, including that of the request.
func (s *Server) endAllSessions(w http.ResponseWriter, r *http.Request) error {
	access, err := s.authorize(r)
	if err != nil {
		return err
	}
	if err := s.endSubject(r.Context(), access.Subject, rotation.SignedOut); err != nil {
		return err
	}
	s.emit(r, Event{Kind: EventSessionEnded, Subject: access.Subject, Reason: rotation.SignedOut})
	done(w)
	return nil
}
