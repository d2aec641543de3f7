// Package server is the authorization server: sign-in, refresh, sign-out,
// sessions and keys, as an [http.Handler] that a program mounts beside handlers
// of its own.
//
// Give [New] a [Config] with an issuer, a [Store], a [Directory] and the keys;
// everything else has a default. [Server.RequireSession] guards the program's
// own handlers, [Server.RequireSessionOrTicket] those that a browser opens without an
// Authorization header.
//
// # Endpoints
//
//	POST   /auth/login             sign in: username, password, device?, refreshToken?
//	POST   /auth/refresh-token     the next pair: refreshToken
//	POST   /auth/logout            sign out: refreshToken, or the access token
//	GET    /auth/me                the user of the access token
//	POST   /auth/ticket            a one-use ticket for an address, with the access token
//	GET    /auth/sessions          the user's live sessions: ?after=…&limit=…
//	DELETE /auth/sessions/{id}     revoke one of them
//	DELETE /auth/sessions          sign out everywhere
//	GET    /.well-known/jwks.json  the keys of the access tokens (RFC 7517)
//	GET    /healthz                200 while the process runs
//	GET    /readyz                 200 while the server can handle requests
//
// With the request header Tandem-Cookie, the first three are in cookie mode: the refresh
// token is in an HttpOnly cookie and not in the bodies, and a body may have a sessionId.
//
// Request and response bodies are JSON objects. Errors have the members error,
// error_description and sometimes reason, as in RFC 6749 section 5.2.
//
// # Security
//
// Access tokens are JWTs in the profile of RFC 9068 that anybody can check with
// the published keys. On its own endpoints, and behind RequireSession, the
// server checks the session as well, and therefore refuses an access token as
// soon as its session has ended.
//
// Refresh tokens rotate as package rotation describes: the server accepts a
// token until a successor of it is first presented, and ends the session when a
// second successor is presented. The store keeps no refresh tokens. The server
// tells a client that its session has ended only after the store has made the
// end durable.
//
// After a sign-in, the server notices changes to a user at every refresh if the
// directory is a [Refresher], and otherwise only through [Server.EndSubject].
//
// The directory checks passwords. The server limits how often they may be guessed
// ([SignInLimits]), and its answer does not reveal whether a user exists. A client
// may send its last refresh token of the user with a sign-in, even one of an ended
// session; then the sign-ins of others do not limit it. Sending the token does not
// use it up, and the server ignores a token that is not valid.
//
// Serve it over TLS. A browser lets pages of other origins call the server only if
// AllowedOrigins contains them.
//
// Cross-site request forgery: the server looks at cookies only if the request has the
// header Tandem-Cookie, which a page of another origin cannot send without a preflight,
// is JSON, and is not from a page of another origin that is not allowed (Sec-Fetch-Site,
// Origin). The server's other endpoints and RequireSession never look at cookies.
package server
