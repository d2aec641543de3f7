package tandem

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/internal/repeat"
)

// replayable reports whether a request can be sent a second time.
func replayable(req *http.Request) bool {
	return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
}

// ready returns the request with a body that can be read again, if possible: it reads a
// file again from its current offset, and buffers a body that fits into
// Config.BufferBodies. The caller calls done when it will not send the request any more.
func (s *Session) ready(req *http.Request) (_ *http.Request, done func(), _ error) {
	if replayable(req) {
		return req, func() {}, nil
	}
	if file, ok := req.Body.(*os.File); ok {
		if start, err := file.Seek(0, io.SeekCurrent); err == nil {
			shared, with := &sharedFile{file: file, start: start}, *req
			return &with, shared.done, repeat.Set(&with, shared.open)
		}
	}
	if s.config.BufferBodies <= 0 || req.ContentLength > s.config.BufferBodies {
		return req, func() {}, nil
	}
	with := *req
	stop := context.AfterFunc(req.Context(), func() { _ = req.Body.Close() })
	_, err := repeat.Buffer(&with, req.Body, s.config.BufferBodies)
	if !stop() {
		return nil, nil, req.Context().Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read the request's body: %w", err)
	}
	return &with, func() {}, nil
}

// A sharedFile is a file that several sends of a request read; an earlier send may still
// read it when the next one begins. The last one closes it.
type sharedFile struct {
	file  *os.File
	start int64

	mu      sync.Mutex
	readers int
	over    bool
	closed  bool
}

func (f *sharedFile) open() (io.ReadCloser, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readers++
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f.file, f.start, math.MaxInt64-f.start), closer(sync.OnceValue(f.release))}, nil
}

func (f *sharedFile) release() error {
	f.mu.Lock()
	f.readers--
	f.mu.Unlock()
	return f.closeIfOver()
}

func (f *sharedFile) done() {
	f.mu.Lock()
	f.over = true
	f.mu.Unlock()
	_ = f.closeIfOver()
}

func (f *sharedFile) closeIfOver() error {
	f.mu.Lock()
	last := f.over && f.readers == 0 && !f.closed
	f.closed = f.closed || last
	f.mu.Unlock()
	if !last {
		return nil
	}
	return f.file.Close()
}

type closer func() error

func (c closer) Close() error { return c() }

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

const (
	// maxBuffer is how long bufferBody waits for the rest of a refusal that the caller
	// will see.
	maxBuffer = time.Second
	// maxDrain is how long drain waits for the rest of a refusal that nobody will see. If
	// the rest arrives, the transport can reuse the connection, which the refresh may
	// need.
	maxDrain = 100 * time.Millisecond
)

// drain reads the rest of an answer, so that the transport can reuse the connection,
// unless too much is left or it takes too long to arrive. drain returns at once, so that a
// refresh need not wait; the caller calls wait in the end.
func drain(resp *http.Response) (wait func()) {
	_, wait = readBody(resp, maxDrain) //nolint:bodyclose // it closes the body of resp, and the other is memory
	return wait
}

// bufferBody reads the start of an answer's body into memory, as much of it as arrives
// within maxBuffer, and closes the body. It returns at once; buffered has the copy as its
// body once wait has returned.
func bufferBody(resp *http.Response) (buffered *http.Response, wait func()) {
	return readBody(resp, maxBuffer)
}

func readBody(resp *http.Response, limit time.Duration) (buffered *http.Response, wait func()) {
	copied := *resp
	done := make(chan struct{})
	go func() {
		defer close(done)
		timer := time.AfterFunc(limit, func() { _ = resp.Body.Close() }) // ends a read that waits
		defer timer.Stop()
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		_ = resp.Body.Close()
		copied.Body = io.NopCloser(bytes.NewReader(text))
	}()
	return &copied, func() { <-done }
}
