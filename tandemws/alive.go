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

// ping pings the server whenever it has sent nothing for interval, and gives the
// connection up if nothing arrives within limit after that. It returns once the
// connection is closed.
//
// The library processes pongs only during the program's reads, so the connection counts
// as silent only while the program waits in a read. Any byte that arrives shows that
// the server is alive.
func (c *Conn) ping(interval, limit time.Duration) {
	for {
		for silence := c.wire.silence(); silence < interval; silence = c.wire.silence() {
			if !c.wire.sleep(interval - silence) {
				return
			}
		}
		// A ping has to wait until the program's running write ends.
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

// pingOnce sends a ping and waits for a sign of life. It returns false once the
// connection is closed.
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
		return c.wire.sleep(limit) // the ping was not written: another frame blocked it
	}
	if silence := c.wire.silence(); silence >= time.Since(begun) {
		c.wire.giveUp(fmt.Errorf("nothing came from the server for %s, not even the answer to a ping", silence))
		return false
	}
	return true
}

// A wire passes on the bytes of one connection, and records since when the current read
// and the current write have been waiting.
type wire struct {
	io.ReadWriteCloser
	ctx   context.Context // ends when the connection is closed
	close context.CancelFunc

	mu      sync.Mutex
	reading time.Time // when the current read began; zero if there is none
	writing time.Time // when the current write began; zero if there is none
	lost    error     // why the connection was given up
}

// silence returns how long the current read has been waiting for bytes; 0 if there is
// none.
func (w *wire) silence() time.Duration { return w.since(&w.reading) }

// stuck returns how long the current write has been waiting; 0 if there is none.
func (w *wire) stuck() time.Duration { return w.since(&w.writing) }

func (w *wire) since(begun *time.Time) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	if begun.IsZero() {
		return 0
	}
	return time.Since(*begun)
}

// sleep waits for d. It returns false once the connection is closed.
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

// giveUp closes the connection. Reads and writes on it then fail with err.
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

// why returns the reason for which the connection was given up, if there is one, in
// place of err.
func (w *wire) why(err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && w.lost != nil {
		return w.lost
	}
	return err
}

// A tap is a transport that wraps the connection of a successful handshake in a wire.
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
