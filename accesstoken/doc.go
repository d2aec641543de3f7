// Package accesstoken makes and checks Tandem's access tokens: JWTs in the
// profile of RFC 9068, signed with a key that the server publishes in its key
// set (RFC 7517).
//
// Most programs need none of it by name: package server makes the tokens, its
// RequireSession checks them, and package keys rotates the signing keys. Use
// this package to keep a signing key of your own ([GenerateSigningKey],
// [ParseSigningKey], [SigningKey.MarshalPEM]) or to check tokens without the
// server's store ([Verifier]).
//
// # Security
//
// A token is accepted only if its signature holds under a key of the set, with
// the one algorithm of that key: the token's own "alg" chooses nothing, so
// neither "none" nor a public key taken for an HMAC secret works (RFC 8725
// sections 2.1 and 3.1). Its "typ" must be that of an access token, so an ID
// token of the same issuer is refused; issuer, audience, expiry, subject and
// session must be there and right.
//
// ES256 signatures are deterministic (RFC 6979), so a weak random number
// generator cannot give the key away.
//
// A token that is accepted was good when it was signed. Whether its session has
// ended since then, a [Verifier] cannot know: the access token's lifetime bounds
// how long that goes unnoticed.
//
// A [SigningKey] prints as its ID and algorithm only. No error of this package
// contains a token or a private key.
package accesstoken
