package tandemws_test

import (
	"context"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/tandemws"
)

// quickly connects again without a wait, for an example that takes no time.
var quickly = tandemws.Options{MinWait: time.Millisecond}

// startFeed is a server whose connections do not live long: the first has its token
// refused, the second is cut.
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
