package tandemgrpc_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

func (w *world) call(opts ...grpc.CallOption) error {
	_, err := w.client.EmptyCall(w.Context(), &pb.Empty{}, opts...)
	return err
}

func (w *world) mustCall(opts ...grpc.CallOption) {
	w.Helper()
	if err := w.call(opts...); err != nil {
		w.Fatal(err)
	}
}

// together makes n calls at the same time, all of which must succeed.
func (w *world) together(n int) {
	w.Helper()
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			if err := w.call(); err != nil {
				w.Error(err)
			}
		})
	}
	calls.Wait()
}

// A hundred calls with an expired token cause one refresh, and all of them succeed.
func TestCallsNeverMeetAnExpiry(t *testing.T) {
	inWorld(t, func(w *world) {
		w.mustCall()
		w.expire()
		w.together(100)
		w.expectRefreshes(1)
		w.expectCalls(101)
	})
}

// If the server refuses a token before it expires, the client makes each call once more
// with the next token.
func TestCallsThatAreRefusedAreMadeOnceMore(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		w.together(100)
		w.expectRefreshes(1)
		if stats := w.session.Stats(); stats.Requests != 100 || stats.Replays == 0 || w.api.calls.Load() != 100+stats.Replays {
			w.Errorf("%d calls reached the server, counted %+v", w.api.calls.Load(), stats)
		}
	})
}

// If the server refuses a fresh token, the client neither loops nor refreshes for each
// call.
func TestAServerThatRefusesAFreshToken(t *testing.T) {
	inWorld(t, func(w *world) {
		w.api.refuseAll.Store(true)
		for range 5 {
			w.expectCode(w.call(), codes.Unauthenticated)
		}
		w.expectRefreshes(1)
		w.expectCalls(6)
		w.api.refuseAll.Store(false)
		w.mustCall()
	})
}

// The client passes other errors on to the caller: a missing permission says nothing
// about the token.
func TestOtherErrorsAreHandedOn(t *testing.T) {
	inWorld(t, func(w *world) {
		_, err := w.client.UnaryCall(w.Context(), &pb.SimpleRequest{})
		w.expectCode(err, codes.Unimplemented)
		w.expectRefreshes(0)
		w.expectCalls(1)
	})
}

// The error of an ended session is both a gRPC status and an EndedError.
func TestCallsOfASessionThatHasEnded(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endAtServer()
		w.expire()
		for range 2 {
			err := w.call()
			w.expectCode(err, codes.Unauthenticated)
			if ended, ok := errors.AsType[*tandem.EndedError](err); !ok || ended.Reason != "revoked" {
				w.Errorf("got %v, want why the session has ended", err)
			}
		}
		w.expectCalls(0)
		w.expectRefreshes(1)
	})
}

// While the refresh endpoint is down, calls fail with a temporary error, and the
// session lives.
func TestCallsWhenTheServerIsAway(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		w.expire()
		err := w.call()
		w.expectCode(err, codes.Unavailable)
		if temporary, ok := errors.AsType[*tandem.TemporaryError](err); !ok || temporary.RetryAt.IsZero() {
			w.Errorf("got %v, want when to try again", err)
		}
		w.server.Script(nil)
		time.Sleep(time.Minute)
		w.mustCall()
	})
}

// A call that waits for a refresh returns at its deadline.
func TestCallsEndWithTheirContext(t *testing.T) {
	inWorld(t, func(w *world) {
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			time.Sleep(5 * time.Second)
			return false
		})
		w.expire()
		ctx, cancel := context.WithTimeout(w.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		_, err := w.client.EmptyCall(ctx, &pb.Empty{})
		w.expectCode(err, codes.DeadlineExceeded)
		if took := time.Since(begun); took != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			w.Errorf("held for %s: %v", took, err)
		}
		w.mustCall() // the refresh continues without that call
		w.expectRefreshes(1)
		ctx, cancel = context.WithCancel(w.Context())
		cancel()
		_, err = w.client.EmptyCall(ctx, &pb.Empty{})
		w.expectCode(err, codes.Canceled)
	})
}

// Other reasons for which a call cannot be made have a gRPC code, too.
func TestCallsThatCannotBeMade(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != testserver.Refresh {
				return false
			}
			w.server.Script(nil)
			if err := w.session.SignIn(context.Background(), "bob", "bbo"); err != nil {
				w.Error(err)
			}
			return false
		})
		err := w.call()
		w.expectCode(err, codes.FailedPrecondition)
		if !errors.Is(err, tandem.ErrUserChanged) {
			w.Errorf("bob has signed in meanwhile: %v", err)
		}
		w.expectCalls(1)

		w.store = tandem.NewMemoryStore()
		stranger := w.open(w.store)
		err = w.call(grpc.PerRPCCredentials(tandemgrpc.Credentials(stranger, plaintext)))
		w.expectCode(err, codes.Unauthenticated)
		if !errors.Is(err, tandem.ErrNotSignedIn) {
			w.Errorf("nobody has signed in: %v", err)
		}

		w.session.Close()
		err = w.call()
		w.expectCode(err, codes.Canceled)
		if !errors.Is(err, tandem.ErrClosed) {
			w.Errorf("the session is closed: %v", err)
		}
	})
}

// A call with credentials of its own carries only those, and its caller gets the
// refusal.
func TestCallsWithTheirOwnCredentials(t *testing.T) {
	inWorld(t, func(w *world) {
		bob := w.open(tandem.NewMemoryStore())
		if err := bob.SignIn(w.Context(), "bob", "bbo"); err != nil {
			t.Fatal(err)
		}
		w.endToken() // so that a call with ann's token fails
		w.mustCall(grpc.PerRPCCredentials(tandemgrpc.Credentials(bob, plaintext)))
		w.expire()
		w.mustCall(grpc.PerRPCCredentials(tandemgrpc.Credentials(bob, plaintext)))
		w.expectRefreshes(1)

		ctx := metadata.AppendToOutgoingContext(w.Context(), "Authorization", "Bearer of bad news")
		_, err := w.client.EmptyCall(ctx, &pb.Empty{})
		w.expectCode(err, codes.Unauthenticated)
		w.expectRefreshes(1)
		w.expectCalls(3)

		stream, err := w.client.FullDuplexCall(ctx)
		if err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		w.expectCode(err, codes.Unauthenticated)
		w.expectCalls(4)
		w.expectRefreshes(1)
	})
}

// Credentials without interceptors refresh an expired token, and leave a call with
// credentials of its own alone.
func TestAConnectionWithCredentialsAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		conn := w.dial(grpc.WithPerRPCCredentials(tandemgrpc.Credentials(w.session, plaintext)))
		defer conn.Close()
		w.client = pb.NewTestServiceClient(conn)
		w.expire()
		w.together(100)
		w.expectRefreshes(1)

		ctx := metadata.AppendToOutgoingContext(w.Context(), "authorization", "Bearer "+w.token())
		if _, err := w.client.EmptyCall(ctx, &pb.Empty{}); err != nil {
			t.Error(err)
		}
	})
}
