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

// Handshakes are those of one stream, one after another: with the session's access
// token or not at all, and all in the name of the user that the stream was begun for.
type Handshakes struct {
	session *tandem.Session
	timeout time.Duration
	user    tandem.Status // not signed in until that is known
	token   string
	expiry  time.Time
}

// NewHandshakes returns those of a new stream. The timeout bounds the wait for each
// answer, but not that for an access token; 0 means that there is no bound. The error
// says which argument is wrong.
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
// request must end once its answer is done with.
func (h *Handshakes) Client() *http.Client {
	// The inner transport lets pass what has a token already: it is there for the
	// session's own base transport.
	guard := &guard{Handshakes: h, next: h.session.Transport(nil)}
	return &http.Client{Transport: h.session.Transport(guard)}
}

// Token returns the access token that the latest handshake was sent with.
func (h *Handshakes) Token() string { return h.token }

// TokenExpiry returns when that token stops being good.
func (h *Handshakes) TokenExpiry() time.Time { return h.expiry }

// guard is what the session's transport sends handshakes through, so it sees which
// access token each has.
type guard struct {
	*Handshakes
	next http.RoundTripper
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
		return g.next.RoundTrip(req)
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	timeout := fmt.Errorf("no answer within %s", g.timeout)
	timer := time.AfterFunc(g.timeout, func() { cancel(timeout) })
	defer timer.Stop()
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil && context.Cause(ctx) == timeout { //nolint:errorlint // it is that one or it isn't
		return nil, timeout
	}
	return resp, err
}

// sameUser reports whether it is still the user that the stream was begun for: what was
// begun for one is not gone on with for another.
func (h *Handshakes) sameUser(now tandem.Status) bool {
	switch before := h.user; {
	case !now.SignedIn:
		return true // it ended this moment; the server will say so
	case !before.SignedIn, before.Username != "" && before.Username == now.Username:
		h.user = now
		return true
	default:
		return before.SessionID == now.SessionID
	}
}

// Bare returns what went wrong with a request without the request's URL, whose query
// may have secrets in it.
func Bare(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
