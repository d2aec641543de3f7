package tandemws_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemws"
)

// A router between client and server forgets the connection: nothing arrives any more,
// and neither side gets an error.
func TestAConnectionThatTheNetworkForgotIsGivenUp(t *testing.T) {
	stream := serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		if n == 1 {
			say(ctx, conn, "hello")
		} else {
			say(ctx, conn, "welcome back")
		}
		wait(ctx, conn)
	})
	var proxy *streamtest.Proxy
	transport := &http.Transport{}
	session, url, end := streamtest.Example(stream, func(c *tandem.Config) {
		proxy = streamtest.StartProxy(t, strings.TrimPrefix(c.URL, "http://"))
		transport.DialContext = proxy.DialContext
		c.Transport = transport
	})
	defer end()
	defer transport.CloseIdleConnections()

	var lost error
	options := tandemws.Options{PingInterval: 20 * time.Millisecond, PongTimeout: 200 * time.Millisecond, MinWait: time.Millisecond}
	err := tandemws.Run(t.Context(), session, url, options, func(ctx context.Context, conn *websocket.Conn) error {
		if lost != nil {
			return until("welcome back")(ctx, conn)
		}
		if err := until("hello")(ctx, conn); err != nil {
			return err
		}
		proxy.Forget()
		lost = until("never")(ctx, conn)
		return lost
	})
	if err != nil || lost == nil || !strings.Contains(lost.Error(), "not even the answer to a ping") {
		t.Errorf("the connection was lost to %v; Run returned %v", lost, err)
	}
}

// deaf is a server that reads and does not answer pings. It sends "tick" at the
// interval every; 0 means never.
func deaf(every time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			OnPingReceived: func(context.Context, []byte) bool { return false },
		})
		if err != nil {
			return
		}
		defer conn.CloseNow()
		gone := conn.CloseRead(r.Context())
		var ticks <-chan time.Time
		if every > 0 {
			ticker := time.NewTicker(every)
			defer ticker.Stop()
			ticks = ticker.C
		}
		for {
			select {
			case <-ticks:
				say(gone, conn, "tick")
			case <-gone.Done():
				return
			}
		}
	})
}

func TestWhenAConnectionIsGivenUp(t *testing.T) {
	read := until("never")
	writeOnly := func(ctx context.Context, conn *websocket.Conn) error {
		<-conn.CloseRead(ctx).Done()
		return errors.New("lost")
	}
	busy := func(ctx context.Context, _ *websocket.Conn) error {
		<-ctx.Done()
		return ctx.Err()
	}
	answering := serve(func(ctx context.Context, _ int, conn *websocket.Conn) { wait(ctx, conn) })
	const never = 0
	for _, c := range []struct {
		name    string
		server  http.Handler
		options tandemws.Options
		handle  func(context.Context, *websocket.Conn) error
		after   time.Duration
	}{
		{"the server answers pings", answering, tandemws.Options{}, read, never},
		{"the server leaves them unanswered", deaf(0), tandemws.Options{}, read, 45 * time.Second},
		{"and the options say when", deaf(0), tandemws.Options{PingInterval: 3 * time.Second, PongTimeout: time.Second}, read, 4 * time.Second},
		{"and the options say never", deaf(0), tandemws.Options{PingInterval: -1}, read, never},
		{"the server leaves them unanswered, but sends something", deaf(40 * time.Second), tandemws.Options{}, read, never},
		{"the program only writes", deaf(0), tandemws.Options{}, writeOnly, 45 * time.Second},
		{"the program is busy and does not read", deaf(0), tandemws.Options{}, busy, never},
	} {
		t.Run(c.name, func(t *testing.T) {
			streamtest.Run(t, c.server, func(w *streamtest.World) {
				var lasted time.Duration
				ctx, cancel := context.WithTimeout(w.Context(), time.Hour)
				defer cancel()
				err := tandemws.Run(ctx, w.Session, streamtest.URL, c.options, func(ctx context.Context, conn *websocket.Conn) error {
					begun := time.Now()
					err := c.handle(ctx, conn)
					if ctx.Err() != nil {
						return err
					}
					lasted = time.Since(begun)
					return nil
				})
				if lasted != c.after || (err == nil) == (c.after == never) {
					t.Errorf("it was given up after %s, want %s (0: never); Run returned %v", lasted, c.after, err)
				}
				w.WantServed(streamtest.Path, 1)
			})
		})
	}
}

// The server does not read the program's message, which blocks the client's pings.
func TestAMessageThatTheServerDoesNotTakeIn(t *testing.T) {
	stream := serve(func(ctx context.Context, _ int, _ *websocket.Conn) { <-ctx.Done() })
	streamtest.Run(t, stream, func(w *streamtest.World) {
		conn, err := tandemws.Dial(w.Context(), w.Session, streamtest.URL, tandemws.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		begun := time.Now()
		written := make(chan error, 1)
		go func() { written <- conn.Write(context.Background(), websocket.MessageBinary, make([]byte, 1<<20)) }()
		_, _, err = conn.Read(context.Background())
		if took := time.Since(begun); err == nil || !strings.Contains(err.Error(), "taken nothing in") || took != 30*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		if err := <-written; err == nil {
			t.Error("the message was written")
		}
	})
}

// A slow upload does not count as silence: the server reads the message bit by bit.
func TestAMessageThatTheServerTakesInSlowly(t *testing.T) {
	stream := serve(func(ctx context.Context, _ int, conn *websocket.Conn) {
		conn.SetReadLimit(-1)
		_, r, err := conn.Reader(ctx)
		for buffer := make([]byte, 4<<10); err == nil; _, err = r.Read(buffer) {
			time.Sleep(time.Second)
		}
		say(ctx, conn, "got it")
		wait(ctx, conn)
	})
	streamtest.Run(t, stream, func(w *streamtest.World) {
		err := run(w, func(ctx context.Context, conn *websocket.Conn) error {
			if w.Auth.Served(streamtest.Path) > 1 {
				return tandemws.Stop(errors.New("the connection was given up"))
			}
			written := make(chan error, 1)
			go func() { written <- conn.Write(ctx, websocket.MessageBinary, make([]byte, 1<<20)) }()
			err := until("got it")(ctx, conn)
			if writeErr := <-written; writeErr != nil {
				t.Error(writeErr)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		w.WantServed(streamtest.Path, 1)
	})
}
