package tandemgrpc

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// unary is a [grpc.UnaryClientInterceptor].
func (c *perRPC) unary(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	if hasOwn(ctx, opts) {
		ctx, _ = c.begin(ctx, "")
		return invoke(ctx, method, req, reply, cc, opts...)
	}
	err := c.session.Call(ctx, cc.Target(), func(ctx context.Context, token string) (refused bool, err error) {
		ctx, a := c.begin(ctx, token)
		err = invoke(ctx, method, req, reply, cc, opts...)
		return a.refused(err), err
	})
	return withStatus(err)
}

// refused reports whether err says that the server refused the token. If gRPC itself
// did not send the token, the error has the same code but sent is false.
func (a *attempt) refused(err error) bool {
	return a.sent.Load() && status.Code(err) == codes.Unauthenticated
}
