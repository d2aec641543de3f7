// Package tandem keeps a Go program signed in.
//
// A [Session] holds two tokens of one sign-in: a short-lived access token that
// the session sends with every request, and a long-lived refresh token with which it
// fetches the next pair when the access token expires. The program sees neither: it
// uses the session's [http.Client] and need not handle an expiry.
//
//	session, err := tandem.Open(ctx, tandem.NewMemoryStore(), tandem.Config{
//		URL:     "https://auth.example.com",
//		Origins: []string{"https://api.example.com"},
//	})
//	…
//	err = session.SignIn(ctx, "ann", password)
//	…
//	resp, err := session.Client().Get("https://api.example.com/orders")
//
// # What it takes care of
//
// However many requests find the token expired, the session refreshes once; each
// caller waits with its own context. The session sends a request that an API refused
// with 401 once more, if its body can be read again. A 401 that arrives after the
// session has replaced the token causes no refresh. When the session cannot reach the
// server, it lives on, returns a [*TemporaryError] to callers, and waits before it
// tries again. It ends only when the server says that it has ended, or its store shows
// that the user signed out: callers then get an [*EndedError], and the session calls
// Config.OnEnd once.
//
// # Other servers
//
// The server need not be Tandem's. [NewOAuth2] refreshes at the token endpoint of any
// OAuth 2.0 server, a [RefresherFunc] at any other endpoint:
//
//	refresher, err := tandem.NewOAuth2(tandem.OAuth2Config{
//		TokenURL: "https://login.example.com/token",
//		ClientID: "app",
//	})
//	session, err := tandem.Open(ctx, store, tandem.Config{
//		Refresher: refresher,
//		Origins:   []string{"https://api.example.com", "https://files.example.com"},
//	})
//	err = session.SignInWith(ctx, "ann", tandem.Grant{AccessToken: …, RefreshToken: …})
//
// The same promises hold there, with one exception: a server that takes each refresh
// token once may end a session when the network loses its answer to a refresh.
//
// # Several APIs
//
// One session serves any number of clients: name the APIs in Config.Origins, and give
// each client [Session.Transport], over a transport of its own if it has one. For other
// protocols than HTTP, use [Session.Call], or send the token that [Session.Token] returns.
// [Config.Observe] and [Session.Stats] report events. Packages tandemgrpc, tandemws,
// tandemsse, tandemoauth2 and tandemotel do that for gRPC, WebSockets, server-sent events,
// golang.org/x/oauth2 and OpenTelemetry.
//
// # What it assumes
//
// Access tokens are bearer tokens (RFC 6750): whoever has one can use it. The session
// sends them to the configured origins and to no other, and puts no token into an error
// or a log line. The program must keep the contents of a [Store] secret.
//
// Package rotation has the rules of Tandem's refresh tokens. If the network loses the
// answer to a refresh, the client refreshes again; the session does not end.
package tandem
