package tandemgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/tandem-auth/tandem"
)

// A NotReplayableError reports that the server refused a stream's access token after
// the client had sent more than it keeps for a replay, so that the client could not
// open the stream again. The session has refreshed the token, so the caller may open a
// new stream. The gRPC code is Unauthenticated.
type NotReplayableError struct {
	// Err is the server's refusal.
	Err error
}

// Error says that the caller may open a new stream.
func (e *NotReplayableError) Error() string {
	return "server refused the access token, and the client no longer keeps all messages of the stream: open a new stream, the token has been refreshed"
}

// Unwrap returns the server's refusal.
func (e *NotReplayableError) Unwrap() error { return e.Err }

// GRPCStatus is for package status.
func (e *NotReplayableError) GRPCStatus() *status.Status {
	return status.New(codes.Unauthenticated, e.Error())
}

// A statusError is an error of a session together with its gRPC code.
type statusError struct {
	error
	code codes.Code
}

// Unwrap returns the session's error.
func (e *statusError) Unwrap() error { return e.error }

// GRPCStatus is for package status.
func (e *statusError) GRPCStatus() *status.Status { return status.New(e.code, e.Error()) }

// withStatus adds a gRPC status to an error that has none.
func withStatus(err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	return &statusError{error: err, code: codeOf(err)}
}

func codeOf(err error) codes.Code {
	_, ended := errors.AsType[*tandem.EndedError](err)
	_, temporary := errors.AsType[*tandem.TemporaryError](err)
	switch {
	case ended, errors.Is(err, tandem.ErrNotSignedIn):
		return codes.Unauthenticated
	case temporary:
		return codes.Unavailable
	case errors.Is(err, tandem.ErrUserChanged):
		return codes.FailedPrecondition
	case errors.Is(err, tandem.ErrClosed), errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	default:
		return codes.Unknown
	}
}
