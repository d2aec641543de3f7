package tandemgrpc_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/grpc/codes"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

// output makes a call with one request and a stream of answers.
func (w *world) output(body string) (answers int, err error) {
	stream, err := w.client.StreamingOutputCall(w.Context(), &pb.StreamingOutputCallRequest{Payload: payload(body)})
	if err != nil {
		return 0, err
	}
	for {
		answer, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return answers, nil
		}
		if err != nil {
			return answers, err
		}
		if string(answer.GetPayload().GetBody()) != body {
			w.Errorf("%d bytes came back, want %d", len(answer.GetPayload().GetBody()), len(body))
		}
		answers++
	}
}

// input makes a call with a stream of requests and one answer.
func (w *world) input(n int, body string) (size int, err error) {
	stream, err := w.client.StreamingInputCall(w.Context())
	if err != nil {
		return 0, err
	}
	for range n {
		if err := stream.Send(&pb.StreamingInputCallRequest{Payload: payload(body)}); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, err
		}
	}
	answer, err := stream.CloseAndRecv()
	return int(answer.GetAggregatedPayloadSize()), err
}

// The client opens a stream of answers again with the next token, whatever the size of
// its request.
func TestStreamsOfAnswersAreOpenedOnceMore(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, body := range []string{"", "hello", strings.Repeat("x", 1<<20)} {
			w.endToken()
			if answers, err := w.output(body); answers != 2 || err != nil {
				w.Errorf("%d answers and %v, want two", answers, err)
			}
		}
		w.expire()
		if answers, err := w.output("hello"); answers != 2 || err != nil {
			w.Errorf("%d answers and %v, want two", answers, err)
		}
		w.expectRefreshes(4)
		w.expectCalls(7)
	})
}

// The client sends a stream of requests again as long as it keeps all of them: the
// server never takes a part for the whole.
func TestStreamsOfRequestsAreSentAgainWhole(t *testing.T) {
	inWorld(t, func(w *world) {
		for _, n := range []int{0, 1, 100} {
			w.endToken()
			if size, err := w.input(n, "0123456789"); size != 10*n || err != nil {
				w.Errorf("the server counted %d bytes, and %v; want %d", size, err, 10*n)
			}
		}
		w.expectRefreshes(3)
	})
}

// The server may refuse the token at any time: while the client sends messages, or
// after the last one.
func TestARefusalThatComesLate(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		hold := make(chan struct{})
		w.api.hold.Store(&hold)
		stream, err := w.client.StreamingInputCall(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if i == 5 {
				close(hold)
				synctest.Wait() // the server has refused
			}
			if err := stream.Send(&pb.StreamingInputCallRequest{Payload: payload("12345")}); err != nil {
				t.Fatal(err)
			}
		}
		answer, err := stream.CloseAndRecv()
		if answer.GetAggregatedPayloadSize() != 50 || err != nil {
			w.Errorf("the server counted %d bytes, and %v; want 50", answer.GetAggregatedPayloadSize(), err)
		}
	})
}

// The client cannot replay more than it keeps. The caller gets an error, and can open
// the stream again itself.
func TestAStreamOfManyRequestsIsSentOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		size, err := w.input(100, strings.Repeat("x", 1000))
		w.expectCode(err, codes.Unauthenticated)
		if e, ok := errors.AsType[*tandemgrpc.NotReplayableError](err); !ok || e.Err == nil || size != 0 {
			w.Errorf("got %d bytes and %v", size, err)
		}
		w.expectRefreshes(1)
		w.expectCalls(1)
		if size, err := w.input(100, strings.Repeat("x", 1000)); size != 100_000 || err != nil {
			w.Errorf("the next try: %d bytes and %v", size, err)
		}
		w.expectRefreshes(1)
	})
}

// A bidirectional stream survives a refusal while one goroutine sends and another
// receives.
func TestConversations(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		stream, err := w.client.FullDuplexCall(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		const n = 2000 // far more than is kept
		sent := make(chan error, 1)
		go func() {
			for range n {
				if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: payload("hello")}); err != nil {
					sent <- err
					return
				}
				synctest.Wait() // let the answer arrive
			}
			sent <- stream.CloseSend()
		}()
		received := 0
		for {
			answer, err := stream.Recv()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if string(answer.GetPayload().GetBody()) == "hello" {
				received++
			}
		}
		if err := <-sent; err != nil || received != n {
			w.Errorf("%d messages came back, want %d; sending: %v", received, n, err)
		}
		w.expectRefreshes(1)
		w.expectCalls(2)
	})
}

// After the client has received something, even the header alone, it passes a refusal
// on: the token expired during the stream, and the server may have acted on the
// messages.
func TestAStreamThatWasAnsweredIsNotOpenedAgain(t *testing.T) {
	for name, receive := range map[string]func(stream pb.TestService_FullDuplexCallClient) error{
		"with a message": func(stream pb.TestService_FullDuplexCallClient) error {
			err := stream.Send(&pb.StreamingOutputCallRequest{})
			_, recvErr := stream.Recv()
			return errors.Join(err, recvErr)
		},
		"with a header": func(stream pb.TestService_FullDuplexCallClient) error {
			_, err := stream.Header()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				stream, err := w.client.FullDuplexCall(w.Context())
				if err != nil {
					t.Fatal(err)
				}
				if err := receive(stream); err != nil {
					t.Fatal(err)
				}
				refuse := &pb.EchoStatus{Code: int32(codes.Unauthenticated)}
				if err := stream.Send(&pb.StreamingOutputCallRequest{ResponseStatus: refuse}); err != nil {
					t.Fatal(err)
				}
				_, err = stream.Recv()
				w.expectCode(err, codes.Unauthenticated)
				w.expectCalls(1)
				w.expectRefreshes(0)
			})
		})
	}
}

// The program may ask for the header first. A refusal has no header; the replayed
// stream has one.
func TestTheHeaderOfAStream(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		stream, err := w.client.FullDuplexCall(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		if header, err := stream.Header(); header != nil || err != nil {
			w.Errorf("a refusal with the header %v, error %v", header, err)
		}
		if err := stream.Send(&pb.StreamingOutputCallRequest{Payload: payload("hello")}); err != nil {
			t.Fatal(err)
		}
		if answer, err := stream.Recv(); err != nil || string(answer.GetPayload().GetBody()) != "hello" {
			w.Errorf("got %v and %v", answer, err)
		}
		if header, err := stream.Header(); header == nil || err != nil {
			w.Errorf("an answer with the header %v, error %v", header, err)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := stream.Recv(); !errors.Is(err, io.EOF) || stream.Trailer() == nil || stream.Context().Err() == nil {
			w.Errorf("at its end: %v, trailer %v, context %v", err, stream.Trailer(), stream.Context().Err())
		}
		w.expectCalls(2)
	})
}

// If the server refuses a fresh token, the caller gets the refusal, as with unary
// calls.
func TestAServerThatRefusesEveryStream(t *testing.T) {
	inWorld(t, func(w *world) {
		w.api.refuseAll.Store(true)
		for range 5 {
			_, err := w.output("hello")
			w.expectCode(err, codes.Unauthenticated)
			if _, ok := errors.AsType[*tandemgrpc.NotReplayableError](err); ok {
				w.Errorf("got %v, want the server's own words", err)
			}
		}
		w.expectRefreshes(1)
		w.expectCalls(6)
	})
}

// If the session has ended, before or after the stream was opened, the caller gets an
// EndedError.
func TestStreamsOfASessionThatHasEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		w.endAtServer()
		stream, err := w.client.FullDuplexCall(w.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		w.expectCode(err, codes.Unauthenticated)
		if _, ok := errors.AsType[*tandem.EndedError](err); !ok {
			w.Errorf("got %v, want that the session has ended", err)
		}
		if err := stream.Send(&pb.StreamingOutputCallRequest{}); !errors.Is(err, io.EOF) {
			w.Errorf("sending on it: %v", err)
		}
		for range 2 {
			_, err := w.output("hello")
			w.expectCode(err, codes.Unauthenticated)
			if _, ok := errors.AsType[*tandem.EndedError](err); !ok {
				w.Errorf("got %v, want that the session has ended", err)
			}
		}
		w.expectCalls(1)
	})
}

// The client does not open a stream again in the name of another user.
func TestAStreamIsNotOpenedAgainAsSomebodyElse(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		hold := make(chan struct{})
		w.api.hold.Store(&hold)
		stream, err := w.client.StreamingOutputCall(w.Context(), &pb.StreamingOutputCallRequest{})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.session.SignIn(w.Context(), "bob", "bbo"); err != nil {
			t.Fatal(err)
		}
		close(hold)
		_, err = stream.Recv()
		w.expectCode(err, codes.FailedPrecondition)
		if !errors.Is(err, tandem.ErrUserChanged) {
			w.Errorf("bob has signed in meanwhile: %v", err)
		}
		w.expectCalls(1)
	})
}

// An abandoned stream leaves no goroutine behind: when its context ends, with or
// without a receive, during a refresh, or when its connection is closed.
func TestStreamsThatAreGivenUp(t *testing.T) {
	for name, giveUp := range map[string]func(w *world, stream pb.TestService_FullDuplexCallClient, cancel func()){
		"and received from": func(w *world, stream pb.TestService_FullDuplexCallClient, cancel func()) {
			cancel()
			_, err := stream.Recv()
			w.expectCode(err, codes.Canceled)
			if err := stream.Send(&pb.StreamingOutputCallRequest{}); !errors.Is(err, io.EOF) {
				w.Errorf("sending to nobody: %v", err)
			}
		},
		"and left alone": func(_ *world, _ pb.TestService_FullDuplexCallClient, cancel func()) {
			cancel()
		},
		"after its header": func(w *world, stream pb.TestService_FullDuplexCallClient, cancel func()) {
			if header, err := stream.Header(); header != nil || err != nil {
				w.Errorf("a refusal with the header %v, error %v", header, err)
			}
			cancel()
		},
		"during a refresh": func(w *world, stream pb.TestService_FullDuplexCallClient, cancel func()) {
			w.server.Script(func(http.ResponseWriter, *http.Request) bool {
				cancel()
				return false
			})
			_, err := stream.Recv()
			w.expectCode(err, codes.Canceled)
		},
		"with their connection": func(w *world, _ pb.TestService_FullDuplexCallClient, _ func()) {
			w.conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.endToken()
				ctx, cancel := context.WithCancel(context.Background())
				stream, err := w.client.FullDuplexCall(ctx)
				if err != nil {
					t.Fatal(err)
				}
				giveUp(w, stream, cancel)
			})
		})
	}
}
