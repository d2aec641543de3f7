package tandem

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxSilence is how long a connection of the default transport may be silent while the
// client waits for data. After a change of networks, or when a NAT has dropped the
// connection, requests would otherwise hang for a quarter of an hour.
const maxSilence = 15 * time.Second

// defaultTransport returns the transport of all sessions without one of their own. The
// process shares it: one transport for each session would leak connections in a program
// with thousands of sessions. It is made on first use, so that it includes the changes
// that a program makes to [http.DefaultTransport] when it starts.
var defaultTransport = sync.OnceValue(func() http.RoundTripper { return boundedTransport(http.DefaultTransport, maxSilence) })

// boundedTransport returns a copy of base that closes a connection after silence. It
// returns a base that is not an [http.Transport] unchanged.
func boundedTransport(base http.RoundTripper, silence time.Duration) http.RoundTripper {
	original, ok := base.(*http.Transport)
	if !ok {
		return base
	}
	bounded := original.Clone()
	if bounded.HTTP2 == nil {
		bounded.HTTP2 = &http.HTTP2Config{}
	}
	if bounded.HTTP2.SendPingTimeout == 0 {
		bounded.HTTP2.SendPingTimeout = silence * 2 / 3
		bounded.HTTP2.PingTimeout = silence / 3
	}
	dial := bounded.DialContext
	if dial == nil {
		return bounded // base dials in another way, such as the browser's
	}
	bounded.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			boundSilence(tcp, silence)
		}
		return conn, err
	}
	return bounded
}

// keepAliveProbes is after how many unanswered probes in a row the kernel closes a
// connection.
const keepAliveProbes = 2

// boundSilence has the kernel close a connection whose peer has acknowledged nothing for
// so long. A slow server still acknowledges, so the client waits for its answer. Where the
// system lacks an option, its own limit applies.
func boundSilence(conn *net.TCPConn, silence time.Duration) {
	interval := silence / (keepAliveProbes + 1)
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: interval, Interval: interval, Count: keepAliveProbes})
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { setUserTimeout(fd, silence) })
	}
}

// A stallGuard is a transport for calls with a time limit. After a call has reached its
// limit, the stallGuard closes the idle connections of base before the next call, which
// would otherwise use the same dead HTTP/2 connection.
type stallGuard struct {
	base    http.RoundTripper
	stalled atomic.Bool
}

// RoundTrip sends a request. It avoids the connection on which an earlier call timed out.
func (g *stallGuard) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.stalled.Swap(false) {
		closeIdle(g.base)
	}
	resp, err := g.base.RoundTrip(req)
	if err != nil {
		g.note(req.Context())
		return resp, err
	}
	resp.Body = &guardedBody{ReadCloser: resp.Body, guard: g, ctx: req.Context()}
	return resp, nil
}

// closeIdle closes the idle connections of a transport that has a method for it.
func closeIdle(base http.RoundTripper) {
	if c, ok := base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// note records that the time limit has ended a call; it ignores other failures.
func (g *stallGuard) note(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		g.stalled.Store(true)
	}
}

// A guardedBody is the body of an answer; reading it may stall as well.
type guardedBody struct {
	io.ReadCloser
	guard *stallGuard
	ctx   context.Context // the call's; Read fails when it ends
}

// Read reads from the answer.
func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.guard.note(b.ctx)
	}
	return n, err
}
