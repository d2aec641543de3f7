package server

import (
	"cmp"
	"errors"
	"net/http"
	"slices"

	"github.com/tandem-auth/tandem/rotation"
)

// signOut ends the session of the refresh token in the body or, without a body, of the
// access token; in cookie mode, that of the cookie. It also succeeds if the session has
// already ended or is unknown.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	jar, err := s.openJar(r)
	if err != nil {
		return err
	}
	var ids []rotation.SessionID
	if jar != nil {
		ids, err = s.takeFromJar(w, r, jar)
	} else {
		var id rotation.SessionID
		id, err = s.sessionToEnd(w, r)
		ids = []rotation.SessionID{id}
	}
	if err != nil {
		return err
	}
	if err := s.signOutAll(r, ids); err != nil {
		if jar != nil { // without its cookies, the browser cannot try again
			s.signOutLater(ids)
		}
		return err
	}
	done(w)
	return nil
}

// signOutLater keeps trying in the background to end sessions.
func (s *Server) signOutLater(ids []rotation.SessionID) {
	for _, id := range ids {
		s.leftovers.add(leftover{session: id, reason: rotation.SignedOut, at: s.now()})
	}
}

// signOutAll ends sessions that have not ended yet, even if the client disconnects. It
// tries all of them, and returns the first error.
func (s *Server) signOutAll(r *http.Request, ids []rotation.SessionID) error {
	ctx, cancel := detached(r.Context())
	defer cancel()
	var failure error
	for _, id := range ids {
		session, found, err := s.lookUp(ctx, id)
		if err == nil && found && session.EndedAt.IsZero() {
			err = s.endAndTell(r, session, rotation.SignedOut)
		}
		failure = cmp.Or(failure, err)
	}
	return failure
}

// takeFromJar deletes the cookies of the session that a client signs out of, and returns
// that session. If the client knows no session, it is every session of the jar. It deletes
// the cookies whatever happens afterwards, so that the browser is signed out even if the
// store is away.
//
// If the browser sent no cookie of the session, the access token says which it is.
func (s *Server) takeFromJar(w http.ResponseWriter, r *http.Request, jar *jar) ([]rotation.SessionID, error) {
	body, err := readCookieBody(w, r)
	if err != nil {
		return nil, err
	}
	known := body.session != rotation.SessionID{}
	if known {
		jar.held = slices.DeleteFunc(jar.held, func(held heldToken) bool { return held.session != sessionPart(body.session) })
	}
	_, failure := s.decodeHeld(r.Context(), jar.held)
	ids, came := jar.sessions(), len(jar.held) > 0
	jar.deleteIf(w, func(held heldToken) bool { return known || held.err == nil })
	if known {
		ids = slices.DeleteFunc(ids, func(id rotation.SessionID) bool { return id != body.session })
	}
	if len(ids) > 0 {
		return ids[:min(len(ids), maxJarSessions)], nil
	}
	access, err := s.bearer(r)
	switch {
	case err == nil && (!known || access.SessionID == body.session):
		return []rotation.SessionID{access.SessionID}, nil
	case failure != nil:
		return nil, failure
	case known && came:
		return nil, invalidRequest("the cookie has no refresh token of this server; nothing was signed out")
	case !known:
		return nil, s.noCookie()
	}
	if err := s.cookieMissing(r.Context(), body.session); !isRefusal(err) {
		return nil, err
	}
	return nil, nil // the session has ended already
}

func (s *Server) sessionToEnd(w http.ResponseWriter, r *http.Request) (rotation.SessionID, error) {
	data, err := readBody(w, r)
	if err != nil {
		return rotation.SessionID{}, err
	}
	if len(data) == 0 {
		access, err := s.bearer(r)
		return access.SessionID, err
	}
	body, err := parseFields(r.Header.Get("Content-Type"), data)
	if err != nil {
		return rotation.SessionID{}, err
	}
	text, err := body.optionalText("refreshToken")
	if err == nil && text == "" && r.Header.Get("Authorization") != "" {
		// Some front ends send {} in place of an empty body.
		access, err := s.bearer(r)
		return access.SessionID, err
	}
	if err == nil {
		text, err = body.text("refreshToken", maxToken)
	}
	if err != nil {
		return rotation.SessionID{}, err
	}
	token, _, err := s.decode(r.Context(), text)
	if p, ok := errors.AsType[*problem](err); ok {
		return rotation.SessionID{}, p
	}
	if err != nil {
		return rotation.SessionID{}, invalidRequest("refreshToken is not a refresh token of this server; nothing was signed out")
	}
	return token.Session, nil
}
