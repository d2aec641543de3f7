package reconnect

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
)

// ErrForeignOrigin reports that a handshake would go to an origin to which the session
// does not send its access token. The client sent nothing.
var ErrForeignOrigin = errors.New("the session does not send its access token to the URL's origin: add it to Config.Origins")

// Handshakes makes the handshakes of one stream, one after another. Each carries the
// session's access token, and all are made for the user who was signed in at the first.
type Handshakes struct {
	// Refused reports whether an answer other than status 401 refuses the access token:
	// the session then refreshes, and the client makes the handshake once more. The
	// client does not call it for 401 and 101. It may read the body. Nil means that no
	// other answer refuses the token.
	Refused func(*http.Response) bool

	session *tandem.Session
	timeout time.Duration
	user    tandem.Status // the zero value until the first handshake
	token   string
	expiry  time.Time
}

// NewHandshakes returns the handshakes of a new stream. The timeout bounds the wait for
// each answer, but not the wait for an access token; 0 means no bound. The error names
// the wrong argument.
func NewHandshakes(session *tandem.Session, timeout time.Duration, header http.Header) (*Handshakes, error) {
	if session == nil {
		return nil, errors.New("no session; tandem.Open makes one")
	}
	for name := range header {
		if strings.EqualFold(name, "Authorization") {
			return nil, errors.New("an Authorization header is among the options; it is the session's to set")
		}
	}
	return &Handshakes{session: session, timeout: timeout, user: session.Status()}, nil
}

// Client returns the client that makes handshakes, one at a time. The context of a
// request must end once the caller has finished with the answer.
func (h *Handshakes) Client() *http.Client {
	// The inner session transport forwards requests with an Authorization header
	// unchanged. It is needed because only the session knows its base transport.
	guard := &guard{Handshakes: h, next: h.session.Transport(nil)}
	return &http.Client{Transport: unmask{h.session.Transport(guard), guard}}
}

// Token returns the access token that the latest handshake was sent with.
func (h *Handshakes) Token() string { return h.token }

// TokenExpiry returns when the token of the latest handshake expires.
func (h *Handshakes) TokenExpiry() time.Time { return h.expiry }

// guard is the transport through which the session's transport sends handshakes. It
// records which access token each handshake carries. An answer that Refused recognizes
// it presents to the session as a 401.
type guard struct {
	*Handshakes
	next http.RoundTripper

	masked *http.Response // the latest answer whose status guard has replaced
	status int            // the status that the server sent
}

// unmask restores the status of an answer that guard has presented to the session as a
// 401.
type unmask struct {
	http.RoundTripper
	guard *guard
}

// RoundTrip makes one handshake, or two if the server refuses the first access token.
func (u unmask) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := u.RoundTripper.RoundTrip(req)
	if resp != nil && resp == u.guard.masked {
		resp.StatusCode = u.guard.status
	}
	u.guard.masked = nil
	return resp, err
}

// RoundTrip sends one handshake.
func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	_, token, ok := strings.Cut(req.Header.Get("Authorization"), " ")
	if !ok {
		return nil, ErrForeignOrigin
	}
	now := g.session.Status()
	if !g.sameUser(now) {
		return nil, tandem.ErrUserChanged
	}
	g.token, g.expiry = token, now.ExpiresAt
	if g.timeout == 0 {
		return g.ask(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timeout := fmt.Errorf("no answer within %s", g.timeout)
	timer := time.AfterFunc(g.timeout, func() { cancel(timeout) })
	defer timer.Stop()
	resp, err := g.ask(req.WithContext(ctx))
	if err != nil && context.Cause(ctx) == timeout { //nolint:errorlint // the cause is never wrapped
		return nil, timeout
	}
	return resp, err
}

// ask sends the handshake. If the answer refuses the token, ask replaces its status
// with 401.
func (g *guard) ask(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil || g.Refused == nil ||
		resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode == http.StatusUnauthorized {
		return resp, err
	}
	// The program's Refused sees the request without the access token.
	resp.Request = req.Clone(req.Context())
	resp.Request.Header.Del("Authorization")
	if g.Refused(resp) {
		g.masked, g.status = resp, resp.StatusCode
		resp.StatusCode = http.StatusUnauthorized
	}
	return resp, nil
}

// sameUser reports whether the session's user is still the user for whom the stream
// began: a stream never continues for another user.
func (h *Handshakes) sameUser(now tandem.Status) bool {
	switch before := h.user; {
	case !now.SignedIn:
		return true // the session has just ended: the server decides about its token
	case !before.SignedIn, before.Username != "" && before.Username == now.Username:
		h.user = now
		return true
	default:
		return before.SessionID == now.SessionID
	}
}

// Bare returns the cause of a request's error without the URL, whose query may contain
// secrets.
func Bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
