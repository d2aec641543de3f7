package tandemws

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
)

// Close performs the WebSocket closing handshake, as [websocket.Conn.Close] does.
func (c *Conn) Close(code websocket.StatusCode, reason string) error {
	err := c.Conn.Close(code, reason)
	c.stopPings()
	return err
}

// CloseNow closes the connection without a closing handshake, as
// [websocket.Conn.CloseNow] does.
func (c *Conn) CloseNow() error {
	err := c.Conn.CloseNow()
	c.stopPings()
	return err
}

// startPings starts the goroutine that pings the server; stopPings waits for it.
func (c *Conn) startPings(interval, limit time.Duration) {
	if interval > 0 && c.wire != nil {
		c.pings.Go(func() { c.ping(interval, limit) })
	}
}

func (c *Conn) stopPings() {
	if c.wire != nil {
		_ = c.wire.Close()
	}
	c.pings.Wait()
}

// ping pings the server whenever nothing has come from it for an interval, and gives the
// connection up if nothing comes within the limit after that. It returns once the
// connection is closed.
//
// Only the program's reads take pongs in, so the connection counts as silent only while
// the program waits in a read; and any byte that arrives shows that the server is alive.
func (c *Conn) ping(interval, limit time.Duration) {
	for {
		for silence := c.wire.silence(); silence < interval; silence = c.wire.silence() {
			if !c.wire.sleep(interval - silence) {
				return
			}
		}
		// A ping cannot overtake what the program is writing.
		if stuck := c.wire.stuck(); stuck >= limit {
			c.wire.giveUp(fmt.Errorf("nothing came from the server for %s, and it has taken nothing in for %s", c.wire.silence(), stuck))
			return
		} else if stuck > 0 {
			if !c.wire.sleep(limit - stuck) {
				return
			}
			continue
		}
		if !c.pingOnce(limit) {
			return
		}
	}
}

// pingOnce returns false once the connection is closed.
func (c *Conn) pingOnce(limit time.Duration) bool {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(c.wire.ctx, limit)
	defer cancel()
	err := c.Ping(ctx)
	switch {
	case c.wire.ctx.Err() != nil:
		return false
	case err == nil:
		return true
	case ctx.Err() == nil:
		return c.wire.sleep(limit) // the ping was not written: another frame held it up
	}
	if silence := c.wire.silence(); silence >= time.Since(begun) {
		c.wire.giveUp(fmt.Errorf("nothing came from the server for %s, not even the answer to a ping", silence))
		return false
	}
	return true
}

// A wire is the bytes of one connection. It keeps track of the read and of the write that
// are under way.
type wire struct {
	io.ReadWriteCloser
	ctx   context.Context // ends when the connection is closed
	close context.CancelFunc

	mu      sync.Mutex
	reading time.Time // when the read that is under way began; zero if none is
	writing time.Time // the same of the write
	lost    error     // why the connection was given up
}

// silence returns for how long the program has been waiting for bytes; 0 if it is not.
func (w *wire) silence() time.Duration { return w.since(&w.reading) }

// stuck returns for how long a write has been waiting; 0 if none is.
func (w *wire) stuck() time.Duration { return w.since(&w.writing) }

func (w *wire) since(begun *time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if begun.IsZero() {
		return 0
	}
	return time.Since(*begun)
}

// sleep returns false once the connection is closed.
func (w *wire) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// giveUp closes the connection: what is being read or written fails with err.
func (w *wire) giveUp(err error) {
	w.mu.Lock()
	w.lost = err
	w.mu.Unlock()
	_ = w.Close()
}

// Close closes the connection. It may be called more than once.
func (w *wire) Close() error {
	w.close()
	return w.ReadWriteCloser.Close()
}

// Read reads what is there, or waits for it.
func (w *wire) Read(p []byte) (int, error) {
	w.set(&w.reading, time.Now())
	n, err := w.ReadWriteCloser.Read(p)
	w.set(&w.reading, time.Time{})
	return n, w.why(err)
}

// Write writes all of p.
func (w *wire) Write(p []byte) (int, error) {
	w.set(&w.writing, time.Now())
	n, err := w.ReadWriteCloser.Write(p)
	w.set(&w.writing, time.Time{})
	return n, w.why(err)
}

func (w *wire) set(begun *time.Time, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	*begun = now
}

// why replaces the error of a connection that was given up with the reason.
func (w *wire) why(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.lost != nil {
		return w.lost
	}
	return err
}

// A tap is a transport that makes a wire of the connection that a handshake opens.
type tap struct {
	http.RoundTripper
	wire *wire // nil until a handshake has succeeded
}

// RoundTrip makes one handshake.
func (t *tap) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(req)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		return resp, err
	}
	if body, ok := resp.Body.(io.ReadWriteCloser); ok {
		t.wire = &wire{ReadWriteCloser: body}
		t.wire.ctx, t.wire.close = context.WithCancel(context.Background())
		resp.Body = t.wire
	}
	return resp, nil
}
