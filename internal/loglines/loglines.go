// Package loglines writes a log without ever blocking the program. If the reader of the
// log (the other end of a pipe) stalls or goes away, the writer drops lines, and no
// request waits.
package loglines

import (
	"io"
	"sync"
	"time"
)

const (
	// maxWaiting bounds the size of the lines that the reader has not read yet, in
	// bytes.
	maxWaiting = 1 << 20
	// closeTimeout bounds how long Close waits for a stalled reader.
	closeTimeout = time.Second
)

// A Writer passes lines on to another writer, in order, in a goroutine of its own that
// the first Write starts. It is safe for concurrent use.
type Writer struct {
	to   io.Writer
	note func(dropped int) []byte

	mu      sync.Mutex
	waiting [][]byte
	size    int  // of waiting, in bytes
	dropped int  // lines, since the last note
	passed  bool // the last write to the underlying writer succeeded
	started bool
	closed  bool
	wake    chan struct{} // holds one token
	done    chan struct{} // closed when the goroutine has ended
}

// New returns a writer that passes lines on to to. After it has dropped lines, and to
// accepts lines again, it writes the result of note with the number of dropped lines.
func New(to io.Writer, note func(dropped int) []byte) *Writer {
	return &Writer{to: to, note: note, wake: make(chan struct{}, 1), done: make(chan struct{})}
}

// Write queues the lines of one call. It never blocks and never fails. The writer drops
// the lines, and counts them as one, if a mebibyte is already waiting, if writing them to
// the underlying writer fails, or after Close.
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

// Used reports whether Write has queued any lines.
func (w *Writer) Used() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.started
}

// Close waits until all lines have been passed on, for at most a second. Close cannot stop
// a goroutine that is blocked by a stalled reader; the goroutine ends when the reader reads
// again or goes away. Close may be called twice.
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

// passOn passes lines on until the writer is closed and no lines are left.
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

// next returns the next line. If there is none, and the last write succeeded or the writer
// is closed, it returns how many lines were dropped, and resets the number.
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

// pass writes text to the underlying writer. If that fails, it counts lines as dropped.
func (w *Writer) pass(text []byte, lines int) {
	_, err := w.to.Write(text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed = err == nil
	if err != nil {
		w.dropped += lines
	}
}
