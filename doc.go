// Package tandem keeps a Go program signed in.
//
// A [Session] holds two tokens of one sign-in: a short-lived access token that
// goes with every request, and a long-lived refresh token that fetches the next
// pair when the first runs out. The program sees neither: it uses the
// [http.Client] that the session gives it, and never meets an expiry.
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
// However many requests meet an expired token, one refresh is made; each caller
// waits with its own context. A request that is refused with 401 is sent once
// more, if its body can be. A 401 that arrives late, when the token has been
// replaced already, causes no refresh. When the server cannot be reached, the
// session is kept, callers get a [*TemporaryError], and the server is left alone
// for a moment. Only the server's own word that the session has ended ends it:
// then callers get an [*EndedError], and Config.OnEnd is called once.
//
// # Other servers
//
// The server need not be Tandem's. [NewOAuth2] refreshes at the token endpoint of any
// OAuth 2.0 server, a [RefresherFunc] at whatever there is:
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
// All that is said above holds there as well, as far as the server lets it: one that
// rotates by the textbook ends a session when a reply of its own gets lost.
//
// # Several APIs
//
// One session serves any number of clients: name the APIs in Config.Origins, and give
// each client [Session.Transport], over a transport of its own if it has one. What is
// no HTTP request goes through [Session.Call], or sends what [Session.Token] returns.
// [Config.Observe] and [Session.Stats] show what goes on. Packages tandemgrpc, tandemws,
// tandemsse, tandemoauth2 and tandemotel do that for gRPC, WebSockets, server-sent events,
// golang.org/x/oauth2 and OpenTelemetry.
//
// # What it assumes
//
// Access tokens are bearer tokens (RFC 6750): whoever has one can use it. They
// are sent to the configured origins and to no other. Tokens are never part of
// an error, a log line or anything printed. What a [Store] keeps is a secret.
//
// The rules of the refresh token are those of package rotation. A refresh whose
// answer got lost may simply be made again; no session ends for that.
package tandem
