// Package loglines writes the log of a program that must go on whatever becomes of its
// log: a reader that stalls or has gone away costs lines, and no request waits for it.
package loglines

import (
	"io"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the memory of the lines that the reader has not taken yet.
	maxWaiting = 1 << 20
	// closeTimeout bounds how long Close waits for a reader that stalls.
	closeTimeout = time.Second
)

// A Writer passes on what is written to it, in order, in a goroutine of its own that the
// first Write starts. It is safe for concurrent use.
type Writer struct {
	to   io.Writer
	note func(dropped int) []byte

	mu      sync.Mutex
	waiting [][]byte
	size    int  // of waiting, in bytes
	dropped int  // lines, since the last note
	passed  bool // the last write to the reader succeeded
	started bool
	closed  bool
	wake    chan struct{} // holds one token
	done    chan struct{} // closed when the goroutine has ended
}

// New returns a writer that passes lines on to another one. Once lines have been dropped
// and the reader takes some again, it is told what note returns.
func New(to io.Writer, note func(dropped int) []byte) *Writer {
	return &Writer{to: to, note: note, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write takes one call's lines. It never waits and never fails: they are dropped, and
// counted as one line, if a megabyte is waiting already, if the reader has gone away, and
// after Close.
func (w *Writer) Write(lines []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.size+len(lines) > maxWaiting {
		w.dropped++
		return len(lines), nil
	}
	w.waiting = append(w.waiting, append([]byte(nil), lines...))
	w.size += len(lines)
	if !w.started {
		w.started = true
		go w.passOn()
	}
	w.signal()
	return len(lines), nil
}

// Used reports whether anything has been written.
func (w *Writer) Used() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started
}

// Close waits until all is passed on, for a second at most: a goroutine that waits for a
// reader that stalls cannot be ended, and lives until that reader goes away. Close may be
// called twice.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	started := w.started
	w.signal()
	w.mu.Unlock()
	if !started {
		return nil
	}
	timer := time.NewTimer(closeTimeout)
	defer timer.Stop()
	select {
	case <-w.done:
	case <-timer.C:
	}
	return nil
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// passOn passes lines on until Close.
func (w *Writer) passOn() {
	defer close(w.done)
	for {
		switch line, dropped, closed := w.next(); {
		case line != nil:
			w.pass(line, 1)
		case dropped > 0:
			w.pass(w.note(dropped), dropped)
			if closed {
				return
			}
		case closed:
			return
		default:
			<-w.wake
		}
	}
}

// next returns the next line or, when there is none and the reader takes lines, how many
// were dropped.
func (w *Writer) next() (line []byte, dropped int, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.waiting) > 0 {
		line = w.waiting[0]
		w.waiting = w.waiting[1:]
		w.size -= len(line)
		return line, 0, w.closed
	}
	if w.passed || w.closed {
		dropped, w.dropped = w.dropped, 0
	}
	return nil, dropped, w.closed
}

// pass writes what stands for a number of lines.
func (w *Writer) pass(text []byte, lines int) {
	_, err := w.to.Write(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = err == nil
	if err != nil {
		w.dropped += lines
	}
}
