package tandem

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

// answerGrace is how long the answer to an upload is waited for that the server has broken
// off. What it had sent before has arrived by then, or never will.
const answerGrace = 250 * time.Millisecond

// An upload is a request with a body on its way to the server. A server may refuse the
// access token while the body is still being sent, and reset the connection. package
// net/http then learns of two things at once: an answer to be read, and a write that has
// failed. It returns whichever it sees first. An upload holds the news of the failed write
// back until the answer has been read, so that a 401 is seen whenever one has arrived.
type upload struct {
	body     io.ReadCloser
	over     chan struct{} // closed when RoundTrip has returned
	started  atomic.Bool   // the server may have seen some of it
	finished atomic.Bool   // the body was sent, or could not be read
}

// traceUpload returns a copy of a request that says how its upload goes. A body with a
// GetBody is most often in memory, where reading it does not fail, and net/http sends it
// together with the header as long as it sees that: it stays as it is.
func traceUpload(req *http.Request) (*http.Request, *upload) {
	u := &upload{body: req.Body, over: make(chan struct{})}
	traced := req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		WroteHeaders: func() { u.started.Store(true) },
		WroteRequest: u.wrote,
	}))
	if req.GetBody == nil {
		traced.Body = u
	}
	return traced, u
}

// Read reads the body.
func (u *upload) Read(p []byte) (int, error) {
	n, err := u.body.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		u.finished.Store(true)
	}
	return n, err
}

// Close closes the body.
func (u *upload) Close() error { return u.body.Close() }

// wrote is called by the goroutine that writes to the connection, before it says how that
// went.
func (u *upload) wrote(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		u.finished.Store(true)
	}
	// net/http wraps what the connection says so that errors.Is does not see it.
	if u.finished.Load() || strings.Contains(info.Err.Error(), net.ErrClosed.Error()) {
		return // RoundTrip knows already
	}
	timer := time.NewTimer(answerGrace)
	defer timer.Stop()
	select {
	case <-u.over:
	case <-timer.C:
	}
}

// brokeOff reports whether the connection broke while the body was being sent.
func (u *upload) brokeOff(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return u.started.Load() && !u.finished.Load() && (!ok || !timeout.Timeout())
}

// hasBody reports whether a request sends something.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }
