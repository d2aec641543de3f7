// Package accesstoken makes and checks Tandem's access tokens: JWTs in the
// profile of RFC 9068, signed with a key that the server publishes in its key
// set (RFC 7517).
//
// Most programs don't import this package: package server makes the tokens, its
// RequireSession checks them, and package keys rotates the signing keys. Use
// this package to keep a signing key of your own ([GenerateSigningKey],
// [ParseSigningKey], [SigningKey.MarshalPEM]) or to check tokens without the
// server's store ([Verifier]).
//
// # Security
//
// A [Verifier] accepts a token only if a key of the set confirms its signature
// with the one algorithm of that key. The token's own "alg" does not choose the
// algorithm, so neither "none" nor a public key used as an HMAC secret works
// (RFC 8725 sections 2.1 and 3.1). The token's "typ" must be that of an access
// token, so the verifier refuses an ID token of the same issuer. Issuer,
// audience, expiry, subject and session must be present and valid.
//
// ES256 signatures are deterministic (RFC 6979), so a weak random number
// generator cannot reveal the key.
//
// A [Ticket] has a type and an audience of its own, so it is no access token for a verifier
// that checks either.
//
// A [Verifier] does not know whether the session has ended since the server
// signed the token. It accepts the token until the token expires.
//
// A [SigningKey] prints as its ID and algorithm only. No error of this package
// contains a token or a private key.
package accesstoken
