package tandemws

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/reconnect"
)

// Run opens a WebSocket, calls handle with it, and does so again and again when the
// connection is lost, until there is no point in it any more. The address is a URL with
// the scheme ws, wss, http or https.
//
// What handle returns says how to go on: nil that all is done, an error that the
// connection is lost (whatever its close code is, 1000 included), an error from [Stop]
// that it is all over. handle must pass on the ctx that it is given. The connection is
// closed after it; do not keep it.
//
// Run returns
//   - nil, once handle does;
//   - the error that handle passed to [Stop];
//   - the context's error, as soon as ctx ends;
//   - an [*tandem.EndedError] when the session has ended, [tandem.ErrClosed] when it was
//     closed, [tandem.ErrNotSignedIn], and [tandem.ErrUserChanged] when another user has
//     signed in: no connection goes on in another user's name. A connection that is open
//     stays so; the session's end is met with at the next handshake, or by handle;
//   - a [*RefusedError] when the server refuses a handshake for good (403, 404 and other
//     such answers, but not 429 or 503), or goes on closing connections with one of
//     Options.RefusedCodes though their tokens are fresh;
//   - [ErrForeignOrigin].
//
// Anything else passes: a [*tandem.TemporaryError], say, is waited out.
func Run(ctx context.Context, session *tandem.Session, address string, options Options,
	handle func(ctx context.Context, conn *websocket.Conn) error,
) error {
	d, err := newDialer(session, address, options)
	if err != nil {
		return err
	}
	s := &stream{dialer: d, handle: handle}
	return options.loop().Run(ctx, s.connect)
}

// Stop returns an error that makes [Run] return err, in place of connecting again.
func Stop(err error) error { return &stopError{err} }

type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

const (
	// maxRefusals: the first refused token may be an old one, and so may the second,
	// which others had fetched meanwhile. The third is a fresh one.
	maxRefusals = 3

	// expiryLeeway is how much earlier than here a token may run out at the server.
	expiryLeeway = 5 * time.Second

	// servedFor is how long a connection lasts at least whose token was not refused at
	// once.
	servedFor = time.Second
)

// A stream is the connections of one Run.
type stream struct {
	*dialer
	handle func(ctx context.Context, conn *websocket.Conn) error
	opened bool // at least once
	// refusals is how many connections in a row the server has closed at once because
	// of their tokens.
	refusals int
}

// connect opens one connection and lets it be handled.
func (s *stream) connect(ctx context.Context) reconnect.Attempt {
	conn, err := s.dial(ctx)
	if err != nil {
		a := reconnect.Attempt{Err: err}
		if no, ok := errors.AsType[*RefusedError](err); ok {
			a.Done, a.AtLeast = reconnect.Definitive(no.Status, s.opened), no.RetryAfter
		}
		return a
	}
	defer conn.CloseNow() //nolint:errcheck // it is lost, or closed already
	s.opened = true
	a := reconnect.Attempt{Opened: time.Now()}
	a.Err = s.handle(ctx, conn.Conn)
	if stop, ok := errors.AsType[*stopError](a.Err); ok {
		a.Err, a.Done = stop.err, true
		return a
	}
	if a.Err == nil {
		a.Done = true
		_ = conn.Close(websocket.StatusNormalClosure, "") // whether or not the server says goodbye
		return a
	}
	return s.lost(conn, a)
}

// lost sees to it that a connection which the server closed because of its token is
// followed by one with a fresh token, at once; and that no other follows if the server
// goes on to refuse fresh ones.
func (s *stream) lost(conn *Conn, a reconnect.Attempt) reconnect.Attempt {
	ranOut := time.Until(s.handshakes.TokenExpiry()) < expiryLeeway && time.Since(a.Opened) >= servedFor
	switch {
	case !conn.Lost(a.Err):
		s.refusals = 0
		return a
	case ranOut || a.Settled():
		s.refusals = 0
	default:
		s.refusals++
	}
	a.AtOnce = s.refusals <= 1
	if s.refusals == maxRefusals {
		closed, _ := errors.AsType[websocket.CloseError](a.Err)
		a.Done, a.Err = true, &RefusedError{
			Status: http.StatusSwitchingProtocols,
			Code:   closed.Code,
			Reason: closed.Reason,
		}
	}
	return a
}
