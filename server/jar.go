package server

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// cookieHeader is the request header that asks for cookie mode. Its value names the jar:
// two apps that share a browser's cookies and want a session each use two jars. Only
// script can send the header, and script of another origin only after a preflight.
const cookieHeader = "Tandem-Cookie"

const (
	maxJarName = 32
	// maxJarSessions bounds how many sessions of a jar the server looks up for one
	// request. A jar has one session, as a rule.
	maxJarSessions = 4
)

// A jar holds the cookies of one request in cookie mode.
type jar struct {
	rules   cookieRules
	request *http.Request
	name    string
	held    []heldToken
}

// A heldToken is a refresh token that came as a cookie.
type heldToken struct {
	cookie  string // the cookie's name
	session string // the session's part of that name
	text    string

	// decodeHeld sets token or err.
	token rotation.Token
	err   error
}

// openJar returns the cookies of a request in cookie mode, or nil for a request in bearer
// mode. It refuses a request that is not from a page of an allowed origin.
func (s *Server) openJar(r *http.Request) (*jar, error) {
	names := r.Header.Values(cookieHeader)
	if len(names) == 0 {
		return nil, nil //nolint:nilnil // no jar means bearer mode
	}
	if len(names) > 1 || !isJarName(names[0]) {
		return nil, invalidRequest("the header %s must be 1, or another name of at most %d letters and digits", cookieHeader, maxJarName)
	}
	if err := s.checkOrigin(r); err != nil {
		return nil, err
	}
	if !isJSON(r.Header.Get("Content-Type")) {
		return nil, notJSON()
	}
	j := &jar{rules: s.cookies, request: r, name: names[0]}
	for _, cookie := range r.Cookies() {
		if session, ok := j.rules.cutCookieName(cookie.Name, j.name); ok {
			j.held = append(j.held, heldToken{cookie: cookie.Name, session: session, text: cookie.Value})
		}
	}
	return j, nil
}

func isJarName(name string) bool {
	return name != "" && len(name) <= maxJarName && strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == ""
}

// put sets the cookie of a pair's refresh token and takes the token out of the pair.
func (j *jar) put(w http.ResponseWriter, p *pair) {
	http.SetCookie(w, j.rules.cookie(j.request, j.rules.cookieName(j.request, j.name, p.successor), p.RefreshToken, p.cookieLife))
	p.RefreshToken = ""
}

// deleteIf deletes the cookies for which over returns true.
func (j *jar) deleteIf(w http.ResponseWriter, over func(heldToken) bool) {
	j.held = slices.DeleteFunc(j.held, func(held heldToken) bool {
		if !over(held) {
			return false
		}
		http.SetCookie(w, j.rules.cookie(j.request, held.cookie, "", 0))
		return true
	})
}

// deleteAll deletes the cookies of a session.
func (j *jar) deleteAll(w http.ResponseWriter, id rotation.SessionID) {
	j.deleteIf(w, func(held heldToken) bool { return held.err == nil && held.token.Session == id })
}

// deleteVoid deletes the cookies of the tokens that can never be presented again, now
// that token is its session's current one: all older tokens and its siblings.
func (j *jar) deleteVoid(w http.ResponseWriter, token rotation.Token) {
	j.deleteIf(w, func(held heldToken) bool {
		return held.err == nil && held.token.Session == token.Session && held.token.Position != token.Position &&
			held.token.Generation <= token.Generation
	})
}

// decodeHeld decodes the tokens and returns the keys that it used. If a key is unknown, it
// reloads the keys, once for all tokens.
func (s *Server) decodeHeld(ctx context.Context, held []heldToken) (*KeySet, error) {
	set := s.cfg.Keys.KeySet()
	if decodeWith(set, held) {
		return set, nil
	}
	if err := s.cfg.Keys.Reload(ctx); err != nil {
		return nil, unavailable("look for the key of a refresh token", err)
	}
	set = s.cfg.Keys.KeySet()
	decodeWith(set, held)
	return set, nil
}

// decodeWith decodes the tokens, and reports whether the keys of all of them are known.
func decodeWith(set *KeySet, held []heldToken) bool {
	known := true
	for i := range held {
		held[i].token, held[i].err = set.codec.Decode(held[i].text)
		known = known && !errors.Is(held[i].err, rotation.ErrUnknownKey)
	}
	return known
}

// sessions returns the sessions of the tokens that could be decoded, beginning with the
// one whose token was issued last.
func (j *jar) sessions() []rotation.SessionID {
	held := slices.DeleteFunc(slices.Clone(j.held), func(held heldToken) bool { return held.err != nil })
	slices.SortStableFunc(held, func(a, b heldToken) int { return b.token.IssuedAt.Compare(a.token.IssuedAt) })
	var ids []rotation.SessionID
	for _, one := range held {
		if !slices.Contains(ids, one.token.Session) {
			ids = append(ids, one.token.Session)
		}
	}
	return ids
}

// tokenFromJar returns the refresh token of a jar that the server goes on with, and the keys
// that it was decoded with. If the client knows no session (id is zero), it is one of the
// newest session that is live.
func (s *Server) tokenFromJar(w http.ResponseWriter, r *http.Request, j *jar, id rotation.SessionID) (rotation.Token, *KeySet, error) {
	if id == (rotation.SessionID{}) {
		return s.tokenOfAnySession(w, r, j)
	}
	j.held = slices.DeleteFunc(j.held, func(held heldToken) bool { return held.session != sessionPart(id) })
	if len(j.held) == 0 {
		return rotation.Token{}, nil, s.cookieMissing(r.Context(), id)
	}
	keys, err := s.decodeHeld(r.Context(), j.held)
	if err != nil {
		return rotation.Token{}, nil, err
	}
	token, err := s.newest(r.Context(), j, id)
	return token, keys, err
}

func (s *Server) tokenOfAnySession(w http.ResponseWriter, r *http.Request, j *jar) (rotation.Token, *KeySet, error) {
	keys, err := s.decodeHeld(r.Context(), j.held)
	if err != nil {
		return rotation.Token{}, nil, err
	}
	id, err := s.liveSession(w, r, j)
	if err != nil {
		return rotation.Token{}, nil, err
	}
	token, err := s.newest(r.Context(), j, id)
	return token, keys, err
}

// liveSession returns the session of the jar that began last, of those that are live, and
// deletes the cookies of the others that it finds ended. If no session is live, it returns
// the refusal.
func (s *Server) liveSession(w http.ResponseWriter, r *http.Request, j *jar) (rotation.SessionID, error) {
	ids := j.sessions()
	switch len(ids) {
	case 0:
		return rotation.SessionID{}, s.noCookie()
	case 1: // the refresh finds out whether it is live
		return ids[0], nil
	}
	var live []store.Session
	var refusal error
	for _, id := range ids[:min(len(ids), maxJarSessions)] {
		session, found, err := s.lookUp(r.Context(), id)
		if err != nil {
			return rotation.SessionID{}, err
		}
		reason := rotation.Unknown
		if found {
			if ended, over := session.Ended(s.now()); over {
				reason = ended
			} else {
				live = append(live, session)
				continue
			}
		}
		j.deleteAll(w, id)
		if refusal == nil {
			refusal = refused(string(reason))
		}
	}
	if len(live) == 0 {
		return rotation.SessionID{}, refusal
	}
	return slices.MaxFunc(live, func(a, b store.Session) int { return a.CreatedAt.Compare(b.CreatedAt) }).ID, nil
}

// newest returns the session's token of the highest generation in the jar. If the jar has
// siblings of that generation, one of them may have been presented already; the others are
// void then, and only the store knows which it is.
func (s *Server) newest(ctx context.Context, j *jar, id rotation.SessionID) (rotation.Token, error) {
	var best []rotation.Token
	malformed := error(rotation.ErrMalformed)
	for _, held := range j.held {
		switch {
		case held.err != nil:
			malformed = held.err
		case held.token.Session != id:
		case len(best) == 0 || held.token.Generation > best[0].Generation:
			best = []rotation.Token{held.token}
		case held.token.Generation == best[0].Generation:
			best = append(best, held.token)
		}
	}
	switch len(best) {
	case 0:
		return rotation.Token{}, refused(decodeReason(malformed))
	case 1:
		return best[0], nil
	}
	session, found, err := s.lookUp(ctx, id)
	if err != nil {
		return rotation.Token{}, err
	}
	for _, token := range best {
		if found && token.Position == session.Current {
			return token, nil
		}
	}
	return slices.MaxFunc(best, func(a, b rotation.Token) int {
		return cmp.Or(a.IssuedAt.Compare(b.IssuedAt), cmp.Compare(a.Branch, b.Branch))
	}), nil
}

// noCookie is the answer to a request in cookie mode whose cookie the browser did not
// send. No session has ended.
func (s *Server) noCookie() *problem {
	return &problem{
		status:      http.StatusUnauthorized,
		Code:        codeCookieMissing,
		Description: "the browser sent no cookie of this session; if the user has signed in, it does not keep or send cookies of this server here",
		challenge:   s.challenge(),
	}
}

// cookieMissing returns the answer to a client that names a session whose cookie the
// browser did not send: noCookie, or the refusal if the session has ended. Its cookies are
// gone then: a sign-out or a sign-in in another tab has deleted them.
func (s *Server) cookieMissing(ctx context.Context, id rotation.SessionID) error {
	session, found, err := s.lookUp(ctx, id)
	if err != nil {
		return err
	}
	if reason, ended := session.Ended(s.now()); found && ended {
		return refused(string(reason))
	}
	return s.noCookie()
}
