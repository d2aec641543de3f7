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

// keptBytes bounds the messages of one stream that are kept to be sent again. They fit
// into the window that HTTP/2 gives a new stream, so that sending them does not wait
// for a server that waits for its answers to be read.
const (
	keptBytes    = 32 << 10
	messageBytes = 32 // what an empty message counts
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

// A stream is opened a second time if the server refuses its token. Until that is
// settled, it keeps what was sent.
type stream struct {
	ctx  context.Context
	many bool // whether the client may send more than one message
	open func(token string) (grpc.ClientStream, *attempt, error)
	call *pending

	// turn is held by whoever sends, so that messages stay in order when those that
	// were sent are sent again.
	turn chan struct{}

	mu      sync.Mutex
	inner   grpc.ClientStream
	attempt *attempt
	settled bool  // whether what there is now is final
	keeping bool  // whether kept has all that was sent
	kept    []any // gRPC forbids to change a message that was sent
	size    int
	closed  bool
}

// RecvMsg receives a message; the first one settles that the server took the token.
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

// SendMsg sends a message. It returns nil for one that is kept, though the server may
// be gone: RecvMsg then sends it again, or says what became of the stream.
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

// CloseSend says that no more messages follow.
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

// Header waits for the server's header, which settles that it took the token.
func (s *stream) Header() (metadata.MD, error) {
	inner, _, _ := s.now()
	md, err := inner.Header()
	if md != nil || err != nil {
		s.settle()
	}
	return md, err
}

// Trailer returns the trailer of the stream, which is over.
func (s *stream) Trailer() metadata.MD {
	inner, _, _ := s.now()
	return inner.Trailer()
}

// Context returns the context of the stream as it is now.
func (s *stream) Context() context.Context {
	inner, _, _ := s.now()
	return inner.Context()
}

func (s *stream) now() (inner grpc.ClientStream, a *attempt, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inner, s.attempt, s.settled
}

// keep keeps a message that is about to be sent, and reports whether it could.
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

// settle ends the wait for a refusal: what the stream is now is final.
func (s *stream) settle() {
	s.mu.Lock()
	s.settled, s.keeping, s.kept = true, false, nil
	s.mu.Unlock()
	s.call.say(false)
}

// finished is told by gRPC that a stream is over, even if its connection was closed and
// nobody receives. What the server said itself RecvMsg deals with.
func (s *stream) finished(err error) {
	if status.Code(err) != codes.Unauthenticated {
		s.settle()
	}
}

// again opens the stream again and sends what was sent before. The error is what the
// caller gets: the refusal, if there is no second try.
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
			return nil // RecvMsg says why
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
