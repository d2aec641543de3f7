package tandem

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/tandem-auth/tandem/internal/liveconn"
)

// defaultTransport returns the transport of all sessions without one of their own. The
// process shares it: one transport for each session would leak connections in a program
// with thousands of sessions. It is made on first use, so that it includes the changes
// that a program makes to [http.DefaultTransport] when it starts.
var defaultTransport = sync.OnceValue(func() http.RoundTripper { return liveconn.Transport(http.DefaultTransport, liveconn.MaxSilence) })

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
