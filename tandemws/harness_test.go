package tandemws_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemws"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve returns a handler that calls do with the number of each connection, beginning
// with 1. do may close the connection.
func serve(do func(ctx context.Context, n int, conn *websocket.Conn)) http.Handler {
	var count atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := int(count.Add(1))
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		do(r.Context(), n, conn)
	})
}

func say(ctx context.Context, conn *websocket.Conn, text string) {
	_ = conn.Write(ctx, websocket.MessageText, []byte(text))
}

// wait keeps a connection open until the client or the server closes it.
func wait(ctx context.Context, conn *websocket.Conn) { _, _, _ = conn.Read(ctx) }

// stay keeps a connection open for the given time; the server answers pings.
func stay(ctx context.Context, conn *websocket.Conn, while time.Duration) {
	conn.CloseRead(ctx)
	time.Sleep(while)
}

// echo sends each message back.
var echo = serve(func(ctx context.Context, _ int, conn *websocket.Conn) {
	for {
		kind, text, err := conn.Read(ctx)
		if err != nil || conn.Write(ctx, kind, text) != nil {
			return
		}
	}
})

// until returns a function that reads until a message is the given word.
func until(word string) func(context.Context, *websocket.Conn) error {
	return func(ctx context.Context, conn *websocket.Conn) error {
		for {
			_, text, err := conn.Read(ctx)
			if err != nil {
				return err
			}
			if string(text) == word {
				return nil
			}
		}
	}
}

func run(w *streamtest.World, handle func(context.Context, *websocket.Conn) error) error {
	return tandemws.Run(w.Context(), w.Session, streamtest.URL, tandemws.Options{}, handle)
}
