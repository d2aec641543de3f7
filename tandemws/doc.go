// Package tandemws keeps a WebSocket open for as long as a session lives.
//
// [Run] connects, hands the connection to a function of the program's, and connects
// again when it is lost: because a proxy has had enough of it, because the server
// restarts, because the access token that it was opened with has run out. Handshakes
// carry an access token that is good at that moment; it is refreshed first if need be,
// once for all the streams of a session.
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
// A server that closes a connection because it does not accept the token any more says
// so with a close code, 4401 or 1008: the next handshake then uses a fresh one.
//
// The token is sent to the session's origins and to no other, in the Authorization
// header and never in the URL. There is no handshake without it.
//
// Connections are those of [github.com/coder/websocket].
package tandemws
