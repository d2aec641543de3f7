// Package server is the authorization server: sign-in, refresh, sign-out,
// sessions and keys, as an [http.Handler] that a program mounts beside handlers
// of its own.
//
// Give [New] a [Config] with an issuer, a [Store], a [Directory] and the keys;
// everything else has a default. [Server.RequireSession] guards the program's
// own handlers.
//
// # Endpoints
//
//	POST   /auth/login             sign in: username, password, device?, refreshToken?
//	POST   /auth/refresh-token     the next pair: refreshToken
//	POST   /auth/logout            sign out: refreshToken, or the access token
//	GET    /auth/me                whose access token it is
//	GET    /auth/sessions          the user's live sessions: ?after=…&limit=…
//	DELETE /auth/sessions/{id}     revoke one of them
//	DELETE /auth/sessions          sign out everywhere
//	GET    /.well-known/jwks.json  the keys of the access tokens (RFC 7517)
//	GET    /healthz                200 while the process lives
//	GET    /readyz                 200 while it is any use to send requests here
//
// Bodies are JSON objects, both ways. Errors have the members error,
// error_description and sometimes reason, in the manner of RFC 6749 section 5.2.
//
// # Security
//
// Access tokens are JWTs in the profile of RFC 9068 that anybody can check with
// the published keys. On its own endpoints, and behind RequireSession, the
// server looks at the session as well, so an access token is refused as soon as
// its session has ended.
//
// Refresh tokens rotate as package rotation has it: one stays good until a
// successor of it is first used, and the use of a second successor ends the
// session. Nothing of a refresh token is stored. That a session has ended is
// durable before anybody is told.
//
// What becomes of a user after the sign-in, the server learns from a directory that is
// a [Refresher], at every refresh, or from [Server.EndSubject].
//
// Passwords are the directory's business. The server bounds how often they may
// be guessed ([SignInLimits]), and answers alike whether the user exists or not. A
// client that sends the last refresh token that it had of the user with a sign-in, be
// it of a session that has ended, is not limited by what others do. The token is not
// used up by that, and one that proves nothing is no error.
//
// Serve it over TLS. It sets no cookies, so there is no cross-site request
// forgery to speak of; other origins' pages are refused unless AllowedOrigins
// has them.
package server
