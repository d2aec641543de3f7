// Package tandemws keeps a WebSocket open for as long as a session lives.
//
// [Run] connects, calls a function of the program with the connection, and connects again
// when the connection is lost: because a proxy closes it after a while, because the server
// restarts, because the access token that it was opened with has expired, or because the
// network has forgotten it. Each handshake carries a valid access token; the session
// refreshes it first if need be, once for all of its streams.
//
//	err := tandemws.Run(ctx, session, "wss://api.example.com/feed", tandemws.Options{},
//		func(ctx context.Context, conn *websocket.Conn) error {
//			for {
//				_, message, err := conn.Read(ctx)
//				if err != nil {
//					return err
//				}
//				…
//			}
//		})
//
// A server that does not accept the token any more closes the connection with code 4401 or
// 1008; the next handshake then uses a fresh token. A gateway that refuses the token in the
// handshake with 403 instead of 401 needs Options.Refused.
//
// While the program reads, the client pings a server that has said nothing for 30 seconds,
// and gives the connection up if nothing comes for another 15; see Options.PingInterval.
//
// The client sends the token to the session's origins and to no other, in the Authorization
// header and never in the URL. It makes no handshake without a token.
//
// The connections are those of [github.com/coder/websocket].
package tandemws
