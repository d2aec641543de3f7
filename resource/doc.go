// Package resource guards an API that accepts Tandem's access tokens, in a program of its
// own: without the server, its store or its keys.
//
//	guard, err := resource.New(resource.Config{Issuer: "https://auth.example.com"})
//	if err != nil {
//		return err
//	}
//	defer guard.Close()
//	mux.Handle("/orders", guard.Protect(orders, "orders:read"))
//
// A handler that is protected learns from [FromContext] who sent the request.
//
// # Security
//
// The guard takes a token from the Authorization header alone, never from an address or a
// form. It checks the signature with the issuer's published keys, each with its one
// algorithm, and the claims of RFC 9068: type, issuer, audience and time. It is the code
// that the server itself checks tokens with, package accesstoken.
//
// By itself the guard does not ask the server about tokens, so it accepts a token until the
// token expires, even if its session has ended meanwhile. Where that matters, set Config.Feed:
// the server then tells the guard of each end within a second. Config.Introspection has the
// guard ask instead.
//
// No error of this package, and nothing that it logs, contains a token.
package resource
