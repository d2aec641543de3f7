package tandemws_test

import (
	"context"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemws"
)

// quickly makes Run connect again almost at once, to keep the examples fast.
var quickly = tandemws.Options{MinWait: time.Millisecond}

// startFeed starts a server with short connections: it refuses the token of the first,
// and cuts the second.
func startFeed() (session *tandem.Session, url string, end func()) {
	return streamtest.Example(serve(func(ctx context.Context, n int, conn *websocket.Conn) {
		switch n {
		case 1:
			say(ctx, conn, "one")
			conn.Close(tandemws.StatusUnauthorized, "token expired")
		case 2:
			say(ctx, conn, "two")
		default:
			say(ctx, conn, "three")
			conn.Close(websocket.StatusNormalClosure, "that is all")
		}
	}))
}
