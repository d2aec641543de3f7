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

// answerGrace is how long an upload waits for an answer after the server has broken off
// the connection. An answer that the server sent before has arrived by then, or never
// will.
const answerGrace = 250 * time.Millisecond

// An upload is a request with a body on its way to the server. A server may refuse the
// access token while the client is still sending the body, and reset the connection.
// Package net/http then has both an answer to read and a failed write, and returns
// whichever it sees first. An upload delays the failed write until net/http has read the
// answer, so that the session sees every 401 that has arrived.
type upload struct {
	body     io.ReadCloser
	over     chan struct{} // closed when RoundTrip returns
	started  atomic.Bool   // the server may have received a part of the request
	finished atomic.Bool   // the client has sent the body, or failed to read it
}

// traceUpload returns a copy of req and the upload that records its progress. It leaves a
// body with a GetBody in place: such a body is most often in memory, where reading does
// not fail, and net/http sends it together with the header only if it recognizes its type.
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

// wrote receives the result of writing the request. The goroutine that writes to the
// connection calls wrote before it passes the result on, so wrote can delay it.
func (u *upload) wrote(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		u.finished.Store(true)
	}
	// net/http wraps the connection's error in a way that hides it from errors.Is.
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

// brokeOff reports whether the connection broke while the client was sending the body.
func (u *upload) brokeOff(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return u.started.Load() && !u.finished.Load() && (!ok || !timeout.Timeout())
}

// hasBody reports whether a request has a body.
func hasBody(req *http.Request) bool { return req.Body != nil && req.Body != http.NoBody }
