// Package tandemgrpc signs gRPC calls in with the session of a [tandem.Session].
//
//	conn, err := grpc.NewClient("dns:///orders.example.com", append(
//		tandemgrpc.DialOptions(session, tandemgrpc.Options{}),
//		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
//	)...)
//
// Each call on the connection carries the access token. A call that the server refuses
// as Unauthenticated is made once more with the next token, however many are refused at
// once; one that refuses even a fresh token has its refusals handed on. A stream is
// opened again if nothing has been received of it and all that was sent is still kept:
// a single request always is, of several the first 32 KiB. Otherwise the caller gets a
// [*NotReplayableError], and may open the stream anew.
//
// A connection is one API: whatever is called on it is sent the token, Config.Origins
// of the session doesn't apply. A call that brings an "authorization" of its own in its
// outgoing metadata, or [grpc.PerRPCCredentials], goes out as it is.
//
// Errors have a gRPC status and can be told apart with [errors.As] all the same: a
// [*tandem.EndedError] is Unauthenticated, a [*tandem.TemporaryError] Unavailable,
// [tandem.ErrNotSignedIn] Unauthenticated, [tandem.ErrUserChanged] FailedPrecondition
// and [tandem.ErrClosed] Canceled.
package tandemgrpc

import (
	"context"
	"slices"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"

	"github.com/tandem-auth/tandem"
)

// Options of a connection. The zero value is right outside of tests.
type Options struct {
	// InsecureSendTokensInPlaintext lets access tokens go over connections that are
	// not encrypted, where whoever is on the way can take them: for tests on one
	// machine. Defaults to false: such connections are refused.
	InsecureSendTokensInPlaintext bool
}

// DialOptions makes a connection that is signed in: give them to [grpc.NewClient]. The
// interceptors among them run after those before them in the list and before those
// after them, which see a call that is made again twice.
func DialOptions(session *tandem.Session, options Options) []grpc.DialOption {
	c := newPerRPC(session, options)
	return []grpc.DialOption{
		grpc.WithPerRPCCredentials(c),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
}

// Credentials are the access token alone, for [grpc.PerRPCCredentials] with a single
// call, such as one as another user than the connection's. They refresh a token that
// has run out. They cannot see that the server refuses one: [DialOptions] can.
func Credentials(session *tandem.Session, options Options) credentials.PerRPCCredentials {
	return newPerRPC(session, options)
}

// perRPC are the credentials of a connection or a call. What its interceptors have
// to say to it is in the context, under a key that is its own.
type perRPC struct {
	session   *tandem.Session
	plaintext bool
}

type key struct{ *perRPC }

// An attempt is one sending of a call.
type attempt struct {
	token string      // empty: the call brings its own credentials
	sent  atomic.Bool // whether the token was handed to the transport
}

func newPerRPC(session *tandem.Session, options Options) *perRPC {
	return &perRPC{session: session, plaintext: options.InsecureSendTokensInPlaintext}
}

// String says what it is, and has no token in it.
func (c *perRPC) String() string { return "tandemgrpc.Credentials" }

// GoString is [perRPC.String].
func (c *perRPC) GoString() string { return c.String() }

// RequireTransportSecurity makes gRPC refuse connections that are not encrypted.
func (c *perRPC) RequireTransportSecurity() bool { return !c.plaintext }

// GetRequestMetadata returns the header with the access token.
func (c *perRPC) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	a, ok := ctx.Value(key{c}).(*attempt)
	switch {
	case ok && a.token == "", hasOwnHeader(ctx):
		return nil, nil
	case ok:
		a.sent.Store(true)
		return bearer(a.token), nil
	}
	token, err := c.session.Token(ctx)
	if err != nil {
		return nil, withStatus(err)
	}
	return bearer(token), nil
}

func bearer(token string) map[string]string {
	return map[string]string{"authorization": "Bearer " + token}
}

// begin returns the context of an attempt with the token.
func (c *perRPC) begin(ctx context.Context, token string) (context.Context, *attempt) {
	a := &attempt{token: token}
	return context.WithValue(ctx, key{c}, a), a
}

// hasOwn reports whether a call brings its own credentials.
func hasOwn(ctx context.Context, opts []grpc.CallOption) bool {
	return hasOwnHeader(ctx) || slices.ContainsFunc(opts, func(o grpc.CallOption) bool {
		own, ok := o.(grpc.PerRPCCredsCallOption)
		return ok && own.Creds != nil
	})
}

func hasOwnHeader(ctx context.Context) bool {
	md, _ := metadata.FromOutgoingContext(ctx)
	return len(md.Get("authorization")) > 0
}
