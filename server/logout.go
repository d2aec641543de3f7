package server

import (
	"errors"
	"net/http"

	"github.com/tandem-auth/tandem/rotation"
)

// signOut ends the session of the refresh token in the body or, without a body, of the
// access token. It also succeeds if the session has already ended or is unknown.
func (s *Server) signOut(w http.ResponseWriter, r *http.Request) error {
	id, err := s.sessionToEnd(w, r)
	if err != nil {
		return err
	}
	ctx, cancel := detached(r.Context())
	defer cancel()
	session, found, err := s.lookUp(ctx, id)
	if err != nil {
		return err
	}
	if found && session.EndedAt.IsZero() {
		if err := s.endAndTell(r, session, rotation.SignedOut); err != nil {
			return err
		}
	}
	done(w)
	return nil
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
