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

// takeFromJar returns the sessions that a sign-out in cookie mode ends, and deletes their
// cookies: the session that the client names and others of the same user, or else every
// session of the jar. It deletes the cookies whatever happens afterwards, so that the
// browser is signed out even if the store is away.
//
// If the browser sent no cookie of the session, the access token says which it is.
func (s *Server) takeFromJar(w http.ResponseWriter, r *http.Request, jar *jar) ([]rotation.SessionID, error) {
	body, err := readCookieBody(w, r)
	if err != nil {
		return nil, err
	}
	_, failure := s.decodeHeld(r.Context(), jar.held)
	ids, named := jar.sessions(), body.session
	if named == (rotation.SessionID{}) {
		jar.deleteIf(w, func(held heldToken) bool { return held.err == nil })
		if len(ids) == 0 {
			return s.sessionOfAccess(r, named, cmp.Or[error](failure, s.noCookie()))
		}
		return ids[:min(len(ids), maxJarSessions)], nil
	}
	came := false
	jar.deleteIf(w, func(held heldToken) bool {
		came = came || held.session == sessionPart(named)
		return held.session == sessionPart(named)
	})
	switch {
	case slices.Contains(ids, named):
		return append(s.othersOfUser(w, r, jar, named), named), nil
	case came && failure == nil:
		failure = invalidRequest("the cookie has no refresh token of this server; nothing was signed out")
	case failure == nil:
		failure = s.cookieMissing(r.Context(), named)
	}
	return s.sessionOfAccess(r, named, failure)
}

// othersOfUser returns the further sessions in a jar of the user of a session, and deletes
// their cookies. There are some if the user has signed in twice at the same moment. If the
// store is away, it returns none.
func (s *Server) othersOfUser(w http.ResponseWriter, r *http.Request, jar *jar, id rotation.SessionID) []rotation.SessionID {
	others := jar.sessions()
	if len(others) == 0 {
		return nil
	}
	session, found, err := s.lookUp(r.Context(), id)
	if !found || err != nil {
		return nil
	}
	var same []rotation.SessionID
	for _, other := range others[:min(len(others), maxJarSessions)] {
		if one, found, err := s.lookUp(r.Context(), other); found && err == nil && one.Subject == session.Subject {
			jar.deleteAll(w, other)
			same = append(same, other)
		}
	}
	return same
}

// sessionOfAccess returns the session of the access token for a sign-out without a cookie.
// If there is no access token, or it is not of the session that the client names, it
// returns the failure; if that says that the session has ended, there is nothing to do.
func (s *Server) sessionOfAccess(r *http.Request, named rotation.SessionID, failure error) ([]rotation.SessionID, error) {
	access, err := s.bearer(r)
	switch {
	case err == nil && (named == rotation.SessionID{} || access.SessionID == named):
		return []rotation.SessionID{access.SessionID}, nil
	case isRefusal(failure):
		return nil, nil
	}
	return nil, failure
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
