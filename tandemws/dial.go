package tandemws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/reconnect"
)

// StatusUnauthorized is the close code with which many servers refuse an access token, as
// they do with status 401 in HTTP. RFC 6455 section 7.4.2 leaves the codes from 4000 on to
// applications.
const StatusUnauthorized websocket.StatusCode = 4401

// ErrForeignOrigin reports that the URL, or the target of a redirect, has an origin that
// the session does not send its access token to; see [tandem.Config].Origins. The client
// sent nothing there.
var ErrForeignOrigin = reconnect.ErrForeignOrigin

// Options say how to connect. The zero value is ready to use.
type Options struct {
	// Handshake sets the headers, subprotocols and compression of the handshake. Leave
	// HTTPClient nil and the Authorization header out: the session sets both.
	Handshake websocket.DialOptions

	// Timeout bounds the wait for the answer to a handshake, but not the wait for an access
	// token. Defaults to 30 seconds.
	Timeout time.Duration

	// Refused reports whether an answer to the handshake, other than status 401,
	// refuses the access token. Many gateways in front of WebSockets answer an expired
	// token with 403: for them, return true for that status. The session then
	// refreshes, and the client makes the handshake once more; if the server refuses
	// that too, the error is a [*RefusedError]. Refused may read the body. Defaults to
	// none: 403 then means that the user lacks a right.
	Refused func(*http.Response) bool

	// RefusedCodes are the close codes with which the server says that it no longer
	// accepts the access token. Defaults to 1008 (policy violation) and
	// [StatusUnauthorized]; an empty slice that is not nil means none.
	RefusedCodes []websocket.StatusCode

	// PingInterval is how long the server may send nothing before the client pings it
	// (RFC 6455 section 5.5.2). The library processes the answer only during the
	// program's reads, so the time counts while the program waits in a read, and not
	// while it handles a message; a program that only writes calls
	// [websocket.Conn.CloseRead]. Defaults to 30 seconds; negative means never.
	PingInterval time.Duration

	// PongTimeout is how long after a ping the client waits for any byte from the
	// server before it gives the connection up: the read fails, and [Run] connects
	// again. For a server that breaks the protocol and does not answer pings, set
	// PingInterval to a negative value. Defaults to 15 seconds.
	PongTimeout time.Duration

	// MaxMessageSize is the limit in bytes for a message from the server. A larger
	// message ends the connection with [websocket.ErrMessageTooBig]. Defaults to 1 MiB;
	// negative means no limit.
	MaxMessageSize int64

	// MinWait is how long [Run] waits before it connects again. Each further failure
	// doubles the wait; a connection that lasted 10 seconds resets it. Run subtracts a
	// random part of up to a half. Defaults to 1 second.
	MinWait time.Duration

	// MaxWait bounds the doubling. If a server asks for a longer wait with Retry-After,
	// Run waits that long, up to an hour. Defaults to 30 seconds.
	MaxWait time.Duration

	// Logger gets a line for each connection that [Run] lost or could not make, with
	// the error and the wait until the next attempt. Defaults to none.
	Logger *slog.Logger
}

// A RefusedError reports that the server refused the connection.
type RefusedError struct {
	// Status is the status that the server answered the handshake with; 101 if it
	// accepted the handshake and then closed the connection with Code.
	Status int
	// Code and Reason are those of the server's close frame.
	Code   websocket.StatusCode
	Reason string
	// RetryAfter is how long the server asked the client to wait; 0 if it did not ask.
	RetryAfter time.Duration
}

// Error says with which status or close code the server refused.
func (e *RefusedError) Error() string {
	if e.Status == http.StatusSwitchingProtocols {
		return fmt.Sprintf("server closed the WebSocket with code %d %q, again and again, though the access token was fresh", int(e.Code), e.Reason)
	}
	return fmt.Sprintf("server refused the WebSocket: it answered %d %s", e.Status, http.StatusText(e.Status))
}

// A Conn is a WebSocket that remembers which access token it was opened with.
type Conn struct {
	*websocket.Conn
	session *tandem.Session
	token   string
	refused []websocket.StatusCode

	wire  *wire          // nil if the session's transport returns a connection that cannot be wrapped
	pings sync.WaitGroup // the goroutine that pings
}

// Lost tells the session about the error that ended the connection. If the error has a
// close code from Options.RefusedCodes, Lost returns true, and the session's next
// request or handshake uses a newer access token than this connection did: the session
// refreshes, unless it has replaced the token already.
func (c *Conn) Lost(err error) bool {
	if !slices.Contains(c.refused, websocket.CloseStatus(err)) {
		return false
	}
	c.session.Invalidate(c.token)
	return true
}

// Dial opens one WebSocket. The address is a URL with the scheme ws, wss, http or
// https. The caller closes the connection when done, and passes the error of a
// connection that ended by itself to [Conn.Lost].
//
// The error is a [*RefusedError], [ErrForeignOrigin], one of [tandem.Session.Token], the
// context's or the network's. ctx bounds the handshake alone.
func Dial(ctx context.Context, session *tandem.Session, address string, options Options) (*Conn, error) {
	d, err := newDialer(session, address, options)
	if err != nil {
		return nil, err
	}
	return d.dial(ctx)
}

// A dialer opens one connection after another for one stream.
type dialer struct {
	session    *tandem.Session
	url        string
	options    Options
	handshakes *reconnect.Handshakes
}

func newDialer(session *tandem.Session, address string, options Options) (*dialer, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("tandemws: URL: %w", reconnect.Bare(err))
	}
	if !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) || u.Host == "" {
		return nil, fmt.Errorf("tandemws: URL: scheme %q, host %q; want a ws, wss, http or https URL", u.Scheme, u.Host)
	}
	if options.Handshake.HTTPClient != nil {
		return nil, errors.New("tandemws: Options.Handshake: the HTTPClient is the session's; leave it nil")
	}
	if options.RefusedCodes == nil {
		options.RefusedCodes = []websocket.StatusCode{websocket.StatusPolicyViolation, StatusUnauthorized}
	}
	switch {
	case options.Timeout < 0:
		return nil, fmt.Errorf("tandemws: Options.Timeout: %s is negative", options.Timeout)
	case options.PongTimeout < 0:
		return nil, fmt.Errorf("tandemws: Options.PongTimeout: %s is negative", options.PongTimeout)
	}
	options.Timeout = cmp.Or(options.Timeout, 30*time.Second)
	options.PingInterval = cmp.Or(options.PingInterval, 30*time.Second)
	options.MaxMessageSize = cmp.Or(options.MaxMessageSize, 1<<20)
	options.PongTimeout = cmp.Or(options.PongTimeout, 15*time.Second)
	handshakes, err := reconnect.NewHandshakes(session, options.Timeout, options.Handshake.HTTPHeader)
	if err == nil {
		err = options.loop().Check()
	}
	if err != nil {
		return nil, fmt.Errorf("tandemws: %w", err)
	}
	handshakes.Refused = options.Refused
	return &dialer{session: session, url: address, options: options, handshakes: handshakes}, nil
}

func (o Options) loop() reconnect.Loop {
	return reconnect.Loop{MinWait: o.MinWait, MaxWait: o.MaxWait, Logger: o.Logger}
}

func (d *dialer) dial(ctx context.Context) (*Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	how := d.options.Handshake
	how.HTTPClient = d.handshakes.Client()
	opened := &tap{RoundTripper: how.HTTPClient.Transport}
	how.HTTPClient.Transport = opened
	conn, resp, err := websocket.Dial(ctx, d.url, &how) //nolint:bodyclose // Dial has read the body
	switch {
	case err == nil:
		c := &Conn{Conn: conn, session: d.session, token: d.handshakes.Token(), refused: d.options.RefusedCodes, wire: opened.wire}
		c.SetReadLimit(max(d.options.MaxMessageSize, -1))
		c.startPings(d.options.PingInterval, d.options.PongTimeout)
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case resp != nil && resp.StatusCode != http.StatusSwitchingProtocols:
		return nil, &RefusedError{Status: resp.StatusCode, RetryAfter: reconnect.RetryAfter(resp.Header)}
	}
	return nil, fmt.Errorf("open the WebSocket: %w", reconnect.Bare(err))
}
