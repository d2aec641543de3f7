// Package tandemsse follows a stream of server-sent events for as long as a session
// lives (WHATWG HTML, section 9.2).
//
// [Subscribe] hands over each event, and connects again when the stream breaks off:
// from the event on that came last, so that nothing is missed where the server numbers
// its events. Requests carry an access token that is good at that moment; it is
// refreshed first if need be, once for all the streams of a session. That the token
// runs out while a stream is open does nothing to the stream.
//
//	err := tandemsse.Subscribe(ctx, session, "https://api.example.com/events", tandemsse.Options{},
//		func(event tandemsse.Event) error {
//			…
//			return nil
//		})
//
// The token is sent to the session's origins and to no other, in the Authorization
// header and never in the URL. There is no request without it.
//
// An event may come twice: when the connection broke between its arrival and the
// server's hearing of it, or when the server's events have no ids.
package tandemsse
