package tandemgrpc

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/tandem-auth/tandem/resource"
)

// A ServerGuard guards the calls of a gRPC server.
type ServerGuard struct {
	// Guard checks the access token of each call, in the metadata "authorization".
	// Required.
	Guard *resource.Guard
	// Scopes returns those that a method needs, such as "/orders.Orders/List". Defaults to
	// none.
	Scopes func(method string) []string
	// IsPublic reports whether a method needs no access token, such as that of a health
	// check. Defaults to none.
	IsPublic func(method string) bool
}

// ServerOptions returns the interceptors that pass a call on if it has a valid access token.
// A handler learns from [resource.FromContext] who calls. Other calls get Unauthenticated,
// PermissionDenied if a scope is missing, or Unavailable if the issuer's keys cannot be
// fetched.
func (s ServerGuard) ServerOptions() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(s.unary), grpc.ChainStreamInterceptor(s.stream)}
}

func (s ServerGuard) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	ctx, err := s.authenticate(ctx, info.FullMethod)
	if err != nil {
		return nil, err
	}
	return handler(ctx, req)
}

func (s ServerGuard) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx, err := s.authenticate(stream.Context(), info.FullMethod)
	if err != nil {
		return err
	}
	return handler(srv, guardedStream{stream, ctx})
}

// authenticate returns the context with the principal of a call. The error has a gRPC
// status.
func (s ServerGuard) authenticate(ctx context.Context, method string) (context.Context, error) {
	if s.IsPublic != nil && s.IsPublic(method) {
		return ctx, nil
	}
	var scopes []string
	if s.Scopes != nil {
		scopes = s.Scopes(method)
	}
	p, err := s.Guard.AuthenticateHeader(ctx, metadata.ValueFromIncomingContext(ctx, "authorization"), scopes...)
	if err != nil {
		return nil, status.Error(codeOfRefusal(err), err.Error())
	}
	return resource.NewContext(ctx, p), nil
}

func codeOfRefusal(err error) codes.Code {
	e, ok := errors.AsType[*resource.RefusedError](err)
	switch {
	case !ok:
		return codes.Internal
	case e.Status == http.StatusForbidden:
		return codes.PermissionDenied
	case e.Status == http.StatusServiceUnavailable:
		return codes.Unavailable
	}
	return codes.Unauthenticated
}

// A guardedStream has the context with the principal.
type guardedStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s guardedStream) Context() context.Context { return s.ctx }
