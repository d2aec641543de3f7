package tandem

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
)

// Client returns an http.Client that sends its requests through
// [Session.Transport].
func (s *Session) Client() *http.Client {
	return &http.Client{Transport: s.Transport(nil)}
}

// Transport returns a round tripper that adds the access token to requests for
// the configured origins, refreshes it when it has expired, and sends a request
// that was refused (with 401, or as Config.Rejected says) once more. Requests for other origins, and those
// that carry an Authorization header already, go out as they are. A nil base
// stands for Config.Transport.
//
// A request that needs a token fails with the errors of [Session.Token], with
// [ErrUserChanged] or with a [*BodyNotReplayableError]. A refusal is returned as it
// is where a fresh access token was refused: it is then the API that does not
// want it.
func (s *Session) Transport(base http.RoundTripper) http.RoundTripper {
	if base == nil {
		base = s.config.Transport
	}
	return &transport{session: s, base: base}
}

type transport struct {
	session *Session
	base    http.RoundTripper
}

// CloseIdleConnections passes on what [http.Client.CloseIdleConnections] asks for.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip is described at [Session.Transport].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := t.session
	n := s.nameOf(req)
	if _, own := req.Header["Authorization"]; own {
		n.own = true
	}
	if n.own || !s.origins.has(req.URL) || s.auth.isAuthCall(req.URL) {
		resp, err := t.base.RoundTrip(req)
		return s.markRedirect(resp, n), err
	}

	req, done, err := s.ready(req)
	if err != nil {
		return nil, err
	}
	defer done()
	begun := n.user
	if begun == nil {
		begun = s.user()
	}
	c, err := t.credentialFor(req, begun)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	if begun == nil {
		begun = c
	}
	s.stats.requests.Add(1)
	resp, err := t.send(req, c, req.Body)
	if err != nil || !s.rejected(resp) || !s.worthARefresh(begun, c, originOf(req.URL)) {
		return s.markRedirect(resp, name{user: begun}), err
	}
	if s.config.MayReplay != nil && !s.config.MayReplay(req) {
		s.Invalidate(c.AccessToken)
		return resp, nil
	}
	return t.replay(req, resp, begun, c)
}

// credentialFor returns the credential to send a request with. A body that can
// be read only once is not risked on an access token that is about to expire.
func (t *transport) credentialFor(req *http.Request, begun *credential) (*credential, error) {
	s := t.session
	if begun != nil && !replayable(req) && begun.refreshDue(s.config.Now()) && begun.usable(s.config.Now()) {
		if err := s.refresh(req.Context(), begun); err != nil && !begun.usable(s.config.Now()) {
			return nil, err
		}
	}
	c, err := s.credential(req.Context(), nil)
	if err != nil {
		return nil, err
	}
	if begun != nil && !begun.sameUser(c) {
		return nil, ErrUserChanged
	}
	return c, nil
}

// replay sends the request once more, with another access token than the one
// that was refused.
func (t *transport) replay(req *http.Request, refusal *http.Response, begun, refused *credential) (*http.Response, error) {
	s := t.session
	if !replayable(req) {
		kept := bufferBody(refusal)
		if _, err := s.credential(req.Context(), refused); err != nil {
			return nil, err
		}
		return nil, &BodyNotReplayableError{Response: kept}
	}
	drain(refusal)
	c, err := s.credential(req.Context(), refused)
	if err != nil {
		return nil, err
	}
	if !begun.sameUser(c) {
		return nil, ErrUserChanged
	}
	body := req.Body
	if req.GetBody != nil {
		if body, err = req.GetBody(); err != nil {
			return nil, fmt.Errorf("get the body to send the request again: %w", err)
		}
	}
	s.replaying(req.Context(), c)
	resp, err := t.send(req, c, body)
	if err == nil && s.rejected(resp) && c.fetched {
		c.refusedFresh(originOf(req.URL), s.config.Now())
	}
	return s.markRedirect(resp, name{user: begun}), err
}

// A redirected request goes on in the name in which it began.
type redirected struct{ session *Session }

// A name is in whose name a request is made: that of a user, or the program's own.
type name struct {
	user *credential
	own  bool // the request had an Authorization of its own
}

// markRedirect notes on an answer that is a redirect in whose name the request was
// made.
func (s *Session) markRedirect(resp *http.Response, n name) *http.Response {
	if resp != nil && resp.Request != nil && resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), redirected{s}, n))
	}
	return resp
}

// nameOf returns in whose name the request was made that was redirected to this one, if
// one was.
func (s *Session) nameOf(req *http.Request) name {
	if from := req.Response; from != nil && from.Request != nil {
		n, _ := from.Request.Context().Value(redirected{s}).(name)
		return n
	}
	return name{}
}

// send sends a copy of the request: the caller's stays as it is.
func (t *transport) send(req *http.Request, c *credential, body io.ReadCloser) (*http.Response, error) {
	with := *req
	with.Header = make(http.Header, len(req.Header)+1)
	maps.Copy(with.Header, req.Header)
	with.Header["Authorization"] = []string{c.authorization}
	with.Body = body
	resp, err := t.base.RoundTrip(&with)
	if resp != nil {
		resp.Request = req // what callers print of an answer has no token in it
	}
	return resp, err
}
