package tandemgrpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a real Tandem server, a real gRPC server that accepts its access tokens,
// and ann's session with a connection to it, in a synctest bubble, whose clock advances
// when all goroutines wait.
type world struct {
	*testing.T
	server  *testserver.Server
	api     *api
	store   *tandem.MemoryStore
	session *tandem.Session
	dialer  func(context.Context, string) (net.Conn, error)
	conn    *grpc.ClientConn
	client  pb.TestServiceClient
}

// inWorld runs a story in which ann has signed in. The story must leave no goroutine
// behind.
func inWorld(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: testserver.New(t), store: tandem.NewMemoryStore()}
		w.session = w.open(w.store)
		if err := w.session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		w.api = &api{tandem: w.server}
		listener := bufconn.Listen(1 << 20)
		server := grpc.NewServer(grpc.UnaryInterceptor(w.api.unary), grpc.StreamInterceptor(w.api.stream))
		pb.RegisterTestServiceServer(server, w.api)
		served := make(chan error, 1)
		go func() { served <- server.Serve(listener) }()

		w.dialer = func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }
		w.conn = w.dial(tandemgrpc.DialOptions(w.session, plaintext)...)
		w.client = pb.NewTestServiceClient(w.conn)
		story(w)
		w.conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}

func (w *world) open(store tandem.Store) *tandem.Session {
	w.Helper()
	s, err := tandem.Open(context.Background(), store, tandem.Config{URL: testserver.URL, Transport: w.server.Transport(), RefreshAhead: -1})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	return s
}

// plaintext allows unencrypted connections, which stay within the test.
var plaintext = tandemgrpc.Options{InsecureSendTokensInPlaintext: true}

func (w *world) dial(options ...grpc.DialOption) *grpc.ClientConn {
	w.Helper()
	conn, err := grpc.NewClient("passthrough:///orders", append(options,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(w.dialer))...)
	if err != nil {
		w.Fatal(err)
	}
	return conn
}

// expire waits until the access token has expired.
func (w *world) expire() { time.Sleep(testserver.AccessTTL) }

// endToken makes the server refuse ann's access token, which the client still considers
// valid.
func (w *world) endToken() {
	w.Helper()
	w.api.refuseNow.Store(w.token())
}

func (w *world) token() string {
	w.Helper()
	token, err := w.session.Token(w.Context())
	if err != nil {
		w.Fatal(err)
	}
	return token
}

// endAtServer ends ann's sessions at the server, without the client's knowledge.
func (w *world) endAtServer() {
	w.Helper()
	if _, err := w.server.Store.EndSubject(context.Background(), "user-ann", "revoked", time.Now()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) expectRefreshes(want int) {
	w.Helper()
	if got := w.server.Served(testserver.Refresh); got != want {
		w.Errorf("%d refreshes, want %d", got, want)
	}
}

// expectCalls fails the test unless want calls have reached the gRPC server.
func (w *world) expectCalls(want int) {
	w.Helper()
	if got := int(w.api.calls.Load()); got != want {
		w.Errorf("%d calls reached the server, want %d", got, want)
	}
}

func (w *world) expectCode(err error, want codes.Code) {
	w.Helper()
	if got := status.Code(err); got != want {
		w.Errorf("got %s (%v), want %s", got, err, want)
	}
}

// An api is a gRPC server that lets the Tandem server check each call's token.
type api struct {
	pb.UnimplementedTestServiceServer
	tandem    *testserver.Server
	calls     atomic.Int64
	refuseNow atomic.Value // a valid token that the server refuses nevertheless
	refuseAll atomic.Bool
	hold      atomic.Pointer[chan struct{}] // what streams wait for before they are refused
}

func (a *api) check(ctx context.Context) error {
	a.calls.Add(1)
	md, _ := metadata.FromIncomingContext(ctx)
	all := md.Get("authorization")
	if len(all) != 1 {
		return status.Errorf(codes.InvalidArgument, "%d authorization headers, want one", len(all))
	}
	refused, _ := a.refuseNow.Load().(string)
	if a.refuseAll.Load() || all[0] == "Bearer "+refused || !a.accepts(all[0]) {
		return status.Error(codes.Unauthenticated, "token is no good")
	}
	return nil
}

func (a *api) accepts(authorization string) bool {
	req := httptest.NewRequest(http.MethodGet, testserver.Hello, http.NoBody)
	req.Header.Set("Authorization", authorization)
	answer := httptest.NewRecorder()
	a.tandem.RequireSession(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, req)
	return answer.Code == http.StatusOK
}

func (a *api) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	if err := a.check(ctx); err != nil {
		return nil, err
	}
	return handle(ctx, req)
}

func (a *api) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handle grpc.StreamHandler) error {
	if err := a.check(stream.Context()); err != nil {
		if hold := a.hold.Load(); hold != nil {
			<-*hold
		}
		return err
	}
	return handle(srv, stream)
}

// EmptyCall answers.
func (a *api) EmptyCall(context.Context, *pb.Empty) (*pb.Empty, error) { return &pb.Empty{}, nil }

// StreamingOutputCall sends the request's payload back twice.
func (a *api) StreamingOutputCall(req *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	for range 2 {
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
	return nil
}

// StreamingInputCall counts the bytes that it receives.
func (a *api) StreamingInputCall(stream pb.TestService_StreamingInputCallServer) error {
	size := 0
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&pb.StreamingInputCallResponse{AggregatedPayloadSize: int32(size)})
		}
		if err != nil {
			return err
		}
		size += len(req.GetPayload().GetBody())
	}
}

// FullDuplexCall sends each payload back, until a request asks for a status.
func (a *api) FullDuplexCall(stream pb.TestService_FullDuplexCallServer) error {
	if err := stream.SendHeader(nil); err != nil {
		return err
	}
	for {
		req, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if code := req.GetResponseStatus().GetCode(); code != 0 {
			return status.Error(codes.Code(code), "as asked for")
		}
		if err := stream.Send(&pb.StreamingOutputCallResponse{Payload: req.GetPayload()}); err != nil {
			return err
		}
	}
}

func payload(body string) *pb.Payload { return &pb.Payload{Body: []byte(body)} }
