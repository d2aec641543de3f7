package tandemgrpc

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// keptBytes bounds how many bytes of a stream's messages the client keeps for a replay.
// They fit into the window that HTTP/2 gives a new stream, so the replay does not block
// on a server that waits for the client to read.
const (
	keptBytes    = 32 << 10
	messageBytes = 32 // added for each message, even an empty one
)

// stream is a [grpc.StreamClientInterceptor].
func (c *perRPC) stream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	if hasOwn(ctx, opts) {
		ctx, _ = c.begin(ctx, "")
		return open(ctx, desc, cc, method, opts...)
	}
	s := &stream{ctx: ctx, many: desc.ClientStreams, keeping: true, turn: make(chan struct{}, 1), call: begin(ctx, c.session, cc.Target())}
	opts = append(slices.Clip(opts), grpc.OnFinish(s.finished))
	s.open = func(token string) (grpc.ClientStream, *attempt, error) {
		ctx, a := c.begin(ctx, token)
		inner, err := open(ctx, desc, cc, method, opts...)
		return inner, a, err
	}
	token, err := s.call.token()
	if err != nil {
		return nil, withStatus(err)
	}
	if s.inner, s.attempt, err = s.open(token); err != nil {
		s.settle()
		return nil, err
	}
	return s, nil
}

// A stream opens its inner stream a second time if the server refuses the access token.
// It keeps the messages that were sent until the server's answer settles that the token
// was accepted.
type stream struct {
	ctx  context.Context
	many bool // whether the client may send more than one message
	open func(token string) (grpc.ClientStream, *attempt, error)
	call *pending

	// turn is held while messages are sent, so that a replay and new messages stay in
	// order.
	turn chan struct{}

	mu      sync.Mutex
	inner   grpc.ClientStream
	attempt *attempt
	settled bool  // whether the inner stream is final
	keeping bool  // whether kept contains every message sent
	kept    []any // gRPC forbids to change a message that was sent
	size    int
	closed  bool
}

// RecvMsg receives a message. The first message settles that the server accepted the
// token.
func (s *stream) RecvMsg(m any) error {
	for {
		inner, attempt, settled := s.now()
		err := inner.RecvMsg(m)
		if settled {
			return err
		}
		if !attempt.refused(err) {
			s.settle()
			return err
		}
		if err := s.again(err); err != nil {
			s.settle()
			return err
		}
	}
}

// SendMsg sends a message. For a message that it keeps it returns nil even if the
// server has ended the stream: RecvMsg then replays the message, or returns the
// stream's error.
func (s *stream) SendMsg(m any) error {
	if inner, _, settled := s.now(); settled {
		return inner.SendMsg(m)
	}
	if err := s.take(); err != nil {
		return err
	}
	defer s.release()
	kept := s.keep(m)
	inner, _, _ := s.now()
	err := inner.SendMsg(m)
	if kept && errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// CloseSend tells the server that no more messages follow.
func (s *stream) CloseSend() error {
	if err := s.take(); err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	s.closed = true
	inner := s.inner
	s.mu.Unlock()
	return inner.CloseSend()
}

// Header waits for the server's header, which settles that the server accepted the
// token.
func (s *stream) Header() (metadata.MD, error) {
	inner, _, _ := s.now()
	md, err := inner.Header()
	if md != nil || err != nil {
		s.settle()
	}
	return md, err
}

// Trailer returns the trailer of the inner stream; call it after the stream has ended.
func (s *stream) Trailer() metadata.MD {
	inner, _, _ := s.now()
	return inner.Trailer()
}

// Context returns the context of the current inner stream.
func (s *stream) Context() context.Context {
	inner, _, _ := s.now()
	return inner.Context()
}

func (s *stream) now() (inner grpc.ClientStream, a *attempt, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner, s.attempt, s.settled
}

// keep keeps a message that is about to be sent, and reports whether there was room for
// it.
func (s *stream) keep(m any) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keeping && s.many {
		message, ok := m.(proto.Message)
		if ok {
			s.size += proto.Size(message) + messageBytes
		}
		s.keeping = ok && s.size <= keptBytes
	}
	if s.settled || !s.keeping {
		s.keeping, s.kept = false, nil
		return false
	}
	s.kept = append(s.kept, m)
	return true
}

// settle makes the inner stream final and drops the kept messages.
func (s *stream) settle() {
	s.mu.Lock()
	s.settled, s.keeping, s.kept = true, false, nil
	s.mu.Unlock()
	s.call.say(false)
}

// finished is gRPC's callback at the end of a stream, which also comes if the
// connection was closed and the program receives nothing. RecvMsg handles a refusal by
// the server.
func (s *stream) finished(err error) {
	if status.Code(err) != codes.Unauthenticated {
		s.settle()
	}
}

// again opens the stream again and sends the kept messages. It returns the error for
// the caller: the server's refusal, if the session has no other token to try.
func (s *stream) again(refusal error) error {
	s.call.say(true)
	token, err := s.call.token()
	switch {
	case token != "":
		return s.resend(token, refusal)
	case err != nil:
		return withStatus(err)
	default:
		return refusal
	}
}

func (s *stream) resend(token string, refusal error) error {
	if err := s.take(); err != nil {
		return err
	}
	defer s.release()
	s.mu.Lock()
	keeping, kept, closed := s.keeping, s.kept, s.closed
	s.mu.Unlock()
	if !keeping {
		return &NotReplayableError{Err: refusal}
	}
	inner, attempt, err := s.open(token)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.inner, s.attempt = inner, attempt
	s.mu.Unlock()
	for _, m := range kept {
		if err := inner.SendMsg(m); errors.Is(err, io.EOF) {
			return nil // RecvMsg returns the reason
		} else if err != nil {
			return err
		}
	}
	if closed {
		return inner.CloseSend()
	}
	return nil
}

// take waits for the right to send.
func (s *stream) take() error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-s.ctx.Done():
		return status.FromContextError(s.ctx.Err()).Err()
	}
}

func (s *stream) release() { <-s.turn }
