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

// Transport returns a round tripper that adds the access token to requests for the
// configured origins, refreshes an expired one, and sends a refused request (status 401,
// or as Config.Rejected says) once more. It sends requests for other origins, and those
// that already carry an Authorization header, unchanged. A nil base stands for
// Config.Transport.
//
// A request that needs a token fails with the errors of [Session.Token], with
// [ErrUserChanged] or with a [*BodyNotReplayableError]. If the API has refused a fresh
// access token, the caller gets the refusal: another refresh would not help.
//
// A server may answer 401 while the client is still sending a body, and reset the
// connection. If that answer has arrived, the round tripper handles it and ignores the
// failed write. If no answer has arrived, nobody knows what the server has done, so the
// round tripper does not send the request again: the caller gets the connection's error.
// The session then refreshes before the next request with a body, unless it has fetched
// the access token within the last 10 seconds.
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

// CloseIdleConnections closes the idle connections of base: see
// [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() { closeIdle(t.base) }

// RoundTrip does what [Session.Transport] describes.
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

// begin finds the credential to send a request with. It refreshes first if the body can be
// read only once and the access token is about to expire, and for any body if the access
// token is in doubt.
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
			user.doubted.Store(false) // if that one refresh failed, the session goes on with this token
		}
	}
	return s.use(req.Context(), user)
}

// replay sends the request once more, with another access token than the refused one. The
// refresh does not wait for the refusal's body, which may never end.
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

// send sends a copy of the request and leaves the caller's unchanged.
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
		resp.Request = req // a caller that prints the answer's request must not print a token
	}
	return resp, err
}

// Call is [Session.Transport] for other protocols than HTTP. Call calls do with an access
// token; if do reports that the API refused the token, Call fetches the next one and calls
// do once more. So do may report a refusal only if the API has done nothing.
//
// The target names the API, such as "grpc://orders". If an API refuses even a fresh access
// token, Call returns its refusals for 10 seconds without a refresh. Config.Origins
// doesn't apply: do must send the token to nobody else.
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

// A usage is how one request or call uses the session, on behalf of the user who began it.
type usage struct {
	session    *Session
	begun      *credential // tells which user began it
	credential *credential // whose access token is sent
}

// use begins a usage on behalf of user; nil stands for the user who is signed in now.
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

// worthARefresh reports whether the session should replace the access token that target
// has refused. It should not if the token was fresh: this session fetched it after the
// request began, or after target had refused an upload with the previous token, or target
// has refused it as fresh within the last 10 seconds. A token that another process fetched
// may be old.
func (u *usage) worthARefresh(target string) bool {
	now := u.session.config.Now()
	if u.credential.fetched && (u.credential != u.begun || u.credential.wasUntried(target, now)) {
		u.credential.refusedFresh(target, now)
	}
	return !u.credential.wasRefusedFresh(target, now)
}

// refresh finds another credential of the same user than the refused one.
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

// replay counts and reports that the request is sent a second time.
func (u *usage) replay(ctx context.Context) {
	s := u.session
	s.stats.replays.Add(1)
	s.tell(ctx, Event{Kind: EventReplay, SessionID: u.credential.SessionID, Begun: s.config.Now()})
}

// refusedAgain records that target has refused a fresh access token.
func (u *usage) refusedAgain(target string) {
	if u.credential.fetched {
		u.credential.refusedFresh(target, u.session.config.Now())
	}
}

// A principal tells on whose behalf a request is made: a user's, or the program's own.
type principal struct {
	user *credential
	own  bool // the program has set the Authorization header itself
}

// redirected is the context key for the principal of the request that was redirected.
type redirected struct{ session *Session }

// markRedirect stores, if the answer is a redirect, the principal in the context of its
// request.
func (s *Session) markRedirect(resp *http.Response, who principal) *http.Response {
	if resp != nil && resp.Request != nil && resp.StatusCode/100 == 3 && resp.Header.Get("Location") != "" {
		resp.Request = resp.Request.WithContext(context.WithValue(resp.Request.Context(), redirected{s}, who))
	}
	return resp
}

// principalOf returns the principal of the request whose redirect led to req; it is zero
// if req follows no redirect.
func (s *Session) principalOf(req *http.Request) principal {
	if from := req.Response; from != nil && from.Request != nil {
		who, _ := from.Request.Context().Value(redirected{s}).(principal)
		return who
	}
	return principal{}
}

// maxPeek is how many bytes of an answer's body Config.Rejected can read.
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

// A peekedBody remembers the bytes that were read from it. Close does nothing.
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
