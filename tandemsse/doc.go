// Package tandemsse follows a stream of server-sent events for as long as a session
// lives (WHATWG HTML, section 9.2).
//
// [Subscribe] calls a function with each event, and connects again when the stream breaks
// off. It then asks the server for the events after the last one, so that none is missed
// where the server numbers its events. Each request carries a valid access token; the
// session refreshes it first if need be, once for all of its streams. A token that expires
// while a stream is open does nothing to the stream.
//
//	err := tandemsse.Subscribe(ctx, session, "https://api.example.com/events", tandemsse.Options{},
//		func(event tandemsse.Event) error {
//			…
//			return nil
//		})
//
// The client sends the token to the session's origins and to no other, in the Authorization
// header and never in the URL. It makes no request without a token.
//
// An event may come twice if the server's events have no ids, or if the server begins a new
// stream with events that the client has received already.
//
// A server may say nothing for hours, so the client does not give up a silent connection by
// itself. If the server sends comments to keep the connection alive, set
// Options.IdleTimeout.
package tandemsse
