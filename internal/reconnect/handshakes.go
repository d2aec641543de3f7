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

// ErrForeignOrigin: the handshake would go to an origin that the session does not
// send its access token to. Nothing was sent.
var ErrForeignOrigin = errors.New("the URL's origin is none of the session's: name it in Config.Origins")

// Handshakes makes the handshakes of one stream, one after another. Each carries the
// session's access token, and all are made for the user who was signed in at the first.
type Handshakes struct {
	// Refused says which answers refuse the access token besides those with status 401:
	// the session then refreshes, and the handshake is made once more. It is not asked
	// about 401 and 101. It may read the body. Nil means that no other answer does.
	Refused func(*http.Response) bool

	session *tandem.Session
	timeout time.Duration
	user    tandem.Status // not signed in until that is known
	token   string
	expiry  time.Time
}

// NewHandshakes returns the handshakes of a new stream. The timeout bounds the wait for
// each answer, but not the wait for an access token; 0 means that there is no bound. The
// error says which argument is wrong.
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

// Client returns the client to make handshakes with, one at a time. The context of a
// request must end once the caller is done with its answer.
func (h *Handshakes) Client() *http.Client {
	// The inner session transport passes requests with an Authorization header on as they
	// are: it is there because it alone knows the session's base transport.
	guard := &guard{Handshakes: h, next: h.session.Transport(nil)}
	return &http.Client{Transport: unmask{h.session.Transport(guard), guard}}
}

// Token returns the access token that the latest handshake was sent with.
func (h *Handshakes) Token() string { return h.token }

// TokenExpiry returns when that token stops being good.
func (h *Handshakes) TokenExpiry() time.Time { return h.expiry }

// guard is the transport that the session's transport sends handshakes through: it sees
// which access token each carries, and shows an answer that Refused recognizes to the
// session as a 401.
type guard struct {
	*Handshakes
	next http.RoundTripper

	masked *http.Response // the latest answer whose status guard has replaced
	status int            // what the server answered there
}

// unmask gives an answer that guard has shown to the session as a 401 its own status back.
type unmask struct {
	http.RoundTripper
	guard *guard
}

// RoundTrip makes one handshake, or two if the first access token is refused.
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
	if err != nil && context.Cause(ctx) == timeout { //nolint:errorlint // it is that one or it isn't
		return nil, timeout
	}
	return resp, err
}

// ask sends the handshake, and masks the answer if it refuses the token.
func (g *guard) ask(req *http.Request) (*http.Response, error) {
	resp, err := g.next.RoundTrip(req)
	if err != nil || g.Refused == nil ||
		resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode == http.StatusUnauthorized {
		return resp, err
	}
	// Refused is the program's: it sees the request without the access token.
	resp.Request = req.Clone(req.Context())
	resp.Request.Header.Del("Authorization")
	if g.Refused(resp) {
		g.masked, g.status = resp, resp.StatusCode
		resp.StatusCode = http.StatusUnauthorized
	}
	return resp, nil
}

// sameUser reports whether the user is still the one whom the stream was begun for: a
// stream that was begun for one user does not go on for another.
func (h *Handshakes) sameUser(now tandem.Status) bool {
	switch before := h.user; {
	case !now.SignedIn:
		return true // the session ended this moment; the server will say so
	case !before.SignedIn, before.Username != "" && before.Username == now.Username:
		h.user = now
		return true
	default:
		return before.SessionID == now.SessionID
	}
}

// Bare returns what went wrong with a request without the request's URL, whose query
// may contain secrets.
func Bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
