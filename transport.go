package tandem

import (
	"bytes"
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
//
// A server may answer 401 while a body is still being sent and reset the connection: if
// that answer has arrived, it counts, rather than the failed write. If none has, nobody
// knows what the server has done, and the request is never sent again: it fails with the
// connection's error, and the next request with a body has the access token refreshed
// first, if that was not fetched within the last 10 seconds.
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
func (t *transport) CloseIdleConnections() { closeIdle(t.base) }

// RoundTrip is described at [Session.Transport].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := t.session
	who := s.principalOf(req)
	if _, own := req.Header["Authorization"]; own {
		who.own = true
	}
	if who.own || !s.Allows(req.URL) {
		resp, err := t.base.RoundTrip(req)
		return s.markRedirect(resp, who), err
	}

	req, done, err := s.ready(req)
	if err != nil {
		return nil, err
	}
	defer done()
	use, err := t.begin(req, who.user)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := t.send(req, use.credential, req.Body)
	switch {
	case err != nil:
		return nil, err
	case !s.rejected(resp):
		if !replayable(req) {
			use.credential.tookUpload(originOf(req.URL))
		}
		return s.markRedirect(resp, principal{user: use.begun}), nil
	case !use.worthARefresh(originOf(req.URL)):
		return s.markRedirect(resp, principal{user: use.begun}), nil
	}
	if s.config.MayReplay != nil && !s.config.MayReplay(req) {
		s.Invalidate(use.credential.AccessToken)
		return resp, nil
	}
	return t.replay(req, resp, use)
}

// begin finds the credential to send a request with. A body that can be read only once
// is not risked on an access token that is about to expire, and no body on one that is in
// doubt.
func (t *transport) begin(req *http.Request, user *credential) (usage, error) {
	s := t.session
	if user == nil {
		user = s.user()
	}
	if user == nil || !hasBody(req) {
		return s.use(req.Context(), user)
	}
	now, doubted := s.config.Now(), user.doubted.Load()
	if user.usable(now) && (doubted || !replayable(req) && user.refreshDue(now)) {
		err := s.refresh(req.Context(), user)
		if err != nil && !user.usable(s.config.Now()) {
			return usage{}, err
		}
		if doubted {
			user.doubted.Store(false) // one try is enough: the access token serves on
		}
	}
	return s.use(req.Context(), user)
}

// replay sends the request once more, with another access token than the one that was
// refused. The refresh does not wait for the refusal's body, which may never end.
func (t *transport) replay(req *http.Request, refusal *http.Response, use usage) (*http.Response, error) {
	s, target := t.session, originOf(req.URL)
	if !replayable(req) {
		buffered, wait := bufferBody(refusal)
		next, err := s.credential(req.Context(), use.credential)
		wait()
		if err != nil {
			return nil, err
		}
		next.untried.Store(&refusalNote{target, s.config.Now()})
		return nil, &BodyNotReplayableError{Response: buffered}
	}
	wait := drain(refusal)
	err := use.refresh(req.Context())
	wait()
	if err != nil {
		return nil, err
	}
	body := req.Body
	if req.GetBody != nil {
		if body, err = req.GetBody(); err != nil {
			return nil, fmt.Errorf("get the body to send the request again: %w", err)
		}
	}
	use.replay(req.Context())
	resp, err := t.send(req, use.credential, body)
	if err == nil && s.rejected(resp) {
		use.refusedAgain(target)
	}
	return s.markRedirect(resp, principal{user: use.begun}), err
}

// send sends a copy of the request: the caller's stays as it is.
func (t *transport) send(req *http.Request, c *credential, body io.ReadCloser) (*http.Response, error) {
	with := *req
	with.Header = make(http.Header, len(req.Header)+1)
	maps.Copy(with.Header, req.Header)
	with.Header["Authorization"] = []string{c.authorization}
	with.Body = body
	if !hasBody(&with) {
		return t.exchange(&with, req)
	}
	traced, up := traceUpload(&with)
	resp, err := t.exchange(traced, req)
	close(up.over)
	if err != nil && up.brokeOff(err) && req.Context().Err() == nil {
		c.doubt(t.session.config.Now())
	}
	return resp, err
}

// exchange makes one round trip with a copy of the caller's request.
func (t *transport) exchange(with, req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(with)
	if resp != nil {
		if resp.Body == nil {
			resp.Body = http.NoBody
		}
		resp.Request = req // what callers print of an answer has no token in it
	}
	return resp, err
}

// Call is [Session.Transport] for what is not an [http.Request], such as a call of
// another protocol. It calls do with an access token; if do says that the token was
// refused, the next one is fetched and do is called once more. Refused means that
// nothing was done, so that it can be tried again.
//
// The target names the API, such as "grpc://orders": one that refuses even a fresh
// access token has its refusals handed on for 10 seconds, rather than causing a
// refresh for each. Config.Origins doesn't apply: do must send the token to nobody else.
//
// The error is that of do, one of [Session.Token], or [ErrUserChanged].
func (s *Session) Call(ctx context.Context, target string, do func(ctx context.Context, accessToken string) (refused bool, err error)) error {
	use, err := s.use(ctx, s.user())
	if err != nil {
		return err
	}
	refused, doErr := do(ctx, use.credential.AccessToken)
	if !refused || !use.worthARefresh(target) {
		return doErr
	}
	if err := use.refresh(ctx); err != nil {
		return err
	}
	use.replay(ctx)
	if refused, doErr = do(ctx, use.credential.AccessToken); refused {
		use.refusedAgain(target)
	}
	return doErr
}

// A usage is how one request or call uses the session: it is sent, refused, worth a
// refresh, and sent again, in the name of the user that it began with.
type usage struct {
	session    *Session
	begun      *credential // says in whose name
	credential *credential // to be sent
}

// use begins a usage in the name of a user; nil stands for whoever is signed in now.
func (s *Session) use(ctx context.Context, user *credential) (usage, error) {
	c, err := s.credential(ctx, nil)
	if err != nil {
		return usage{}, err
	}
	if user == nil {
		user = c
	}
	if !user.sameUser(c) {
		return usage{}, ErrUserChanged
	}
	s.stats.requests.Add(1)
	return usage{session: s, begun: user, credential: c}, nil
}

// worthARefresh reports whether the access token that target has refused should be
// replaced. It is not if it was fresh: fetched since the request began, fetched because
// target had refused an upload with the one before, or refused elsewhere for what it is.
// One that another process had fetched may be old.
func (u *usage) worthARefresh(target string) bool {
	now := u.session.config.Now()
	if u.credential.fetched && (u.credential != u.begun || u.credential.wasUntried(target, now)) {
		u.credential.refusedFresh(target, now)
	}
	return !u.credential.wasRefusedFresh(target, now)
}

// refresh finds another credential than the one that was refused, of the same user.
func (u *usage) refresh(ctx context.Context) error {
	c, err := u.session.credential(ctx, u.credential)
	if err != nil {
		return err
	}
	if !u.begun.sameUser(c) {
		return ErrUserChanged
	}
	u.credential = c
	return nil
}

// replay notes that the request is sent a second time.
func (u *usage) replay(ctx context.Context) {
	s := u.session
	s.stats.replays.Add(1)
	s.tell(ctx, Event{Kind: EventReplay, SessionID: u.credential.SessionID, Begun: s.config.Now()})
}

// refusedAgain notes that target has refused a fresh access token.
func (u *usage) refusedAgain(target string) {
	if u.credential.fetched {
		u.credential.refusedFresh(target, u.session.config.Now())
	}
}

// A principal is in whose name a request is made: that of a user, or the program's own.
type principal struct {
	user *credential
	own  bool // the request had an Authorization of its own
}

// A redirected request goes on in the name in which it began.
type redirected struct{ session *Session }

// markRedirect notes on an answer that is a redirect in whose name the request was
// made.
func (s *Session) markRedirect(resp *http.Response, who principal) *http.Response {
	if resp != nil && resp.Request != nil && resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), redirected{s}, who))
	}
	return resp
}

// principalOf returns in whose name the request was made that was redirected to this
// one, if one was.
func (s *Session) principalOf(req *http.Request) principal {
	if from := req.Response; from != nil && from.Request != nil {
		who, _ := from.Request.Context().Value(redirected{s}).(principal)
		return who
	}
	return principal{}
}

// maxPeek is how much of an answer's body Config.Rejected gets to see.
const maxPeek = 64 << 10

// rejected reports whether an answer refuses the access token.
func (s *Session) rejected(resp *http.Response) bool {
	if resp.StatusCode == http.StatusUnauthorized {
		return true
	}
	if s.config.Rejected == nil || resp.StatusCode == http.StatusSwitchingProtocols {
		return false
	}
	body := resp.Body
	peek := &peekedBody{from: io.LimitReader(body, maxPeek)}
	resp.Body = peek
	verdict := s.config.Rejected(resp)
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(&peek.seen, body), body}
	return verdict
}

// A peekedBody remembers what was read of it. Closing it does nothing.
type peekedBody struct {
	from io.Reader
	seen bytes.Buffer
}

func (p *peekedBody) Read(b []byte) (int, error) {
	n, err := p.from.Read(b)
	p.seen.Write(b[:n])
	return n, err
}

func (p *peekedBody) Close() error { return nil }
