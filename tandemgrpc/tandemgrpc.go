// Package tandemgrpc sends a [tandem.Session]'s access token with gRPC calls.
//
//	conn, err := grpc.NewClient("dns:///orders.example.com", append(
//		tandemgrpc.DialOptions(session, tandemgrpc.Options{}),
//		grpc.WithTransportCredentials(credentials.NewTLS(nil)),
//	)...)
//
// Each call on the connection carries the access token. If the server answers
// Unauthenticated, the client makes the call once more with the next token; calls that
// are refused at the same time share one refresh. If the server refuses the fresh token
// too, the caller gets the refusal. The client opens a refused stream again if it has
// received nothing on the stream and still keeps everything that was sent: a single
// request always, of several messages the first 32 KiB. Otherwise the caller gets a
// [*NotReplayableError], and may open a new stream.
//
// Use a connection for one API only: the client sends the token with every call on it,
// and Config.Origins of the session does not apply. A call that has an "authorization"
// of its own in its outgoing metadata, or [grpc.PerRPCCredentials], goes out unchanged.
//
// Errors have a gRPC status, and [errors.As] still finds the session's error in them: a
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
	// InsecureSendTokensInPlaintext makes the client send access tokens over
	// unencrypted connections, where anyone on the network path can steal them. Set it
	// only in tests on one machine. Defaults to false: the client refuses such
	// connections.
	InsecureSendTokensInPlaintext bool
}

// DialOptions returns the options that make [grpc.NewClient] send the session's access
// token with every call. Their interceptors run after the interceptors earlier in the
// list and before the later ones; the later ones see a repeated call twice.
func DialOptions(session *tandem.Session, options Options) []grpc.DialOption {
	c := newPerRPC(session, options)
	return []grpc.DialOption{
		grpc.WithPerRPCCredentials(c),
		grpc.WithChainUnaryInterceptor(c.unary),
		grpc.WithChainStreamInterceptor(c.stream),
	}
}

// Credentials returns the access token as [grpc.PerRPCCredentials], for a single call,
// such as a call as another user than the connection's. They refresh an expired token,
// but do not notice that the server refuses one; [DialOptions] does.
func Credentials(session *tandem.Session, options Options) credentials.PerRPCCredentials {
	return newPerRPC(session, options)
}

// perRPC are the credentials of a connection or a call. Its interceptors pass it their
// attempt in the context, under a key of its own.
type perRPC struct {
	session   *tandem.Session
	plaintext bool
}

type key struct{ *perRPC }

// An attempt is one sending of a call.
type attempt struct {
	token string      // empty: the call has credentials of its own
	sent  atomic.Bool // whether gRPC's transport got the token
}

func newPerRPC(session *tandem.Session, options Options) *perRPC {
	return &perRPC{session: session, plaintext: options.InsecureSendTokensInPlaintext}
}

// String returns a fixed text without a token.
func (c *perRPC) String() string { return "tandemgrpc.Credentials" }

// GoString returns the same text as String.
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

// begin returns a context that carries a new attempt with the token.
func (c *perRPC) begin(ctx context.Context, token string) (context.Context, *attempt) {
	a := &attempt{token: token}
	return context.WithValue(ctx, key{c}, a), a
}

// hasOwn reports whether a call has credentials of its own.
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
