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

// Run opens a WebSocket and calls handle with it. Whenever the connection is lost, Run
// opens another one and calls handle again. The address is a URL with the scheme ws, wss,
// http or https.
//
// handle reads until the connection fails, and returns the error: Run then connects
// again, whatever the close code is, 1000 included. If handle returns nil, Run ends and
// returns nil; if it returns an error from [Stop], Run returns that error. handle must
// pass its ctx to the calls that it makes. Run closes the connection after handle has
// returned.
//
// While handle reads, the client notices that the server has gone silent, and the read
// fails; see Options.PingInterval.
//
// Run returns
//   - nil, once handle does;
//   - the error that handle passed to [Stop];
//   - the context's error, as soon as ctx ends;
//   - an [*tandem.EndedError] when the session has ended, [tandem.ErrClosed] when it was
//     closed, [tandem.ErrNotSignedIn], and [tandem.ErrUserChanged] when another user has
//     signed in: no connection goes on in another user's name. An open connection stays
//     open when the session ends; Run notices the end at the next handshake;
//   - a [*RefusedError] when the server refuses a handshake for good (403, 404 and other
//     such answers, but not 429 or 503), or goes on closing connections with one of
//     Options.RefusedCodes though their tokens are fresh;
//   - [websocket.ErrMessageTooBig], as handle returned it, when the server sent a message
//     larger than Options.MaxMessageSize: it would send it again;
//   - [ErrForeignOrigin].
//
// Run waits out every other error, a [*tandem.TemporaryError] for example.
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

// Stop returns an error that makes [Run] return err instead of connecting again.
func Stop(err error) error { return &stopError{err} }

type stopError struct{ err error }

func (e *stopError) Error() string { return e.err.Error() }
func (e *stopError) Unwrap() error { return e.err }

const (
	// maxRefusals is how many refusals in a row show that the server refuses fresh
	// tokens. The first refused token may be an old one, and so may the second, which
	// another request may have fetched before. The third token is fresh.
	maxRefusals = 3

	// expiryLeeway is how far the server's clock may be ahead of the client's when the
	// server closes a connection because its token has expired.
	expiryLeeway = 5 * time.Second

	// servedFor is how long a connection must have lasted to show that the server
	// accepted its token at first.
	servedFor = time.Second
)

// A stream is the connections of one Run.
type stream struct {
	*dialer
	handle func(ctx context.Context, conn *websocket.Conn) error
	opened bool // whether a connection was open at least once
	// refusals is how many connections in a row the server has closed at once because
	// of their tokens.
	refusals int
}

// connect opens one connection and calls handle with it.
func (s *stream) connect(ctx context.Context) reconnect.Attempt {
	conn, err := s.dial(ctx)
	if err != nil {
		a := reconnect.Attempt{Err: err}
		if no, ok := errors.AsType[*RefusedError](err); ok {
			a.Done, a.AtLeast = reconnect.Definitive(no.Status, s.opened), no.RetryAfter
		}
		return a
	}
	defer conn.CloseNow() //nolint:errcheck // the connection is lost, or closed already
	s.opened = true
	a := reconnect.Attempt{Opened: time.Now()}
	a.Err = s.handle(ctx, conn.Conn)
	if stop, ok := errors.AsType[*stopError](a.Err); ok {
		a.Err, a.Done = stop.err, true
		return a
	}
	if errors.Is(a.Err, websocket.ErrMessageTooBig) {
		a.Done = true
		return a
	}
	if a.Err == nil {
		a.Done = true
		_ = conn.Close(websocket.StatusNormalClosure, "") // the server need not answer
		return a
	}
	return s.lost(conn, a)
}

// lost decides what follows after a connection has ended. If the server closed it
// because of its token, Run connects at once with a fresh token; if the server keeps
// refusing fresh tokens, Run ends.
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
