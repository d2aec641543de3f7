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

// maxSilence is how long a connection of the default transport may be silent while
// something is expected on it: a machine that has changed networks, or a NAT that has
// forgotten the connection, would otherwise hold requests for a quarter of an hour.
const maxSilence = 15 * time.Second

// defaultTransport is what a session uses that was given no transport. The process shares
// one: a transport for each session would leak connections in a program with thousands of
// sessions. It is made on first use, so that changes the program makes to
// [http.DefaultTransport] when it starts are in it.
var defaultTransport = sync.OnceValue(func() http.RoundTripper { return boundedTransport(http.DefaultTransport, maxSilence) })

// boundedTransport returns a copy of base whose connections are closed after silence. A
// base that is no [http.Transport] is returned as it is.
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
		return bounded // another way of dialing, such as the browser's
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

// keepAliveProbes is how many probes in a row go unanswered before the kernel closes a
// connection.
const keepAliveProbes = 2

// boundSilence has the kernel close a connection whose other end acknowledges nothing for
// so long. A server that takes its time acknowledges: its answer is waited for. Where a
// system does not have an option, its own limit stays.
func boundSilence(conn *net.TCPConn, silence time.Duration) {
	interval := silence / (keepAliveProbes + 1)
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: interval, Interval: interval, Count: keepAliveProbes})
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { setUserTimeout(fd, silence) })
	}
}

// A stallGuard is a transport for calls with a time limit. After a call that ran into its
// limit it closes the idle connections of base before the next call, which would
// otherwise go out on the same dead HTTP/2 connection.
type stallGuard struct {
	base    http.RoundTripper
	stalled atomic.Bool
}

// RoundTrip sends a request on a connection that no call has just waited on in vain.
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

// closeIdle closes the idle connections of a transport, if it has a way to.
func closeIdle(base http.RoundTripper) {
	if c, ok := base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// note remembers that a call has failed, if its time limit is why.
func (g *stallGuard) note(ctx context.Context) {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		g.stalled.Store(true)
	}
}

// A guardedBody is the body of an answer, which may stall as well.
type guardedBody struct {
	io.ReadCloser
	guard *stallGuard
	ctx   context.Context // of the call, whose end makes Read fail
}

// Read reads from the answer.
func (b *guardedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.guard.note(b.ctx)
	}
	return n, err
}
