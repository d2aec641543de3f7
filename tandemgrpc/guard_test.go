package tandemgrpc_test

import (
	"context"
	"net"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/tandem-auth/tandem/internal/testkit/guardtest"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

// A named answers with the name of the caller.
type named struct {
	pb.UnimplementedTestServiceServer
}

func nameOf(ctx context.Context) []byte {
	p, ok := resource.FromContext(ctx)
	if !ok {
		return []byte("nobody")
	}
	return []byte(p.Username)
}

func (named) UnaryCall(ctx context.Context, _ *pb.SimpleRequest) (*pb.SimpleResponse, error) {
	return &pb.SimpleResponse{Payload: &pb.Payload{Body: nameOf(ctx)}}, nil
}

func (named) EmptyCall(ctx context.Context, _ *pb.Empty) (*pb.Empty, error) {
	if name := string(nameOf(ctx)); name != "nobody" {
		return nil, status.Error(codes.Internal, name)
	}
	return &pb.Empty{}, nil
}

func (named) StreamingOutputCall(_ *pb.StreamingOutputCallRequest, stream pb.TestService_StreamingOutputCallServer) error {
	return stream.Send(&pb.StreamingOutputCallResponse{Payload: &pb.Payload{Body: nameOf(stream.Context())}})
}

// Calls are guarded by their metadata, streams and single calls alike.
func TestAGuardedServer(t *testing.T) {
	s := guardtest.New(t)
	const list, empty = "/grpc.testing.TestService/UnaryCall", "/grpc.testing.TestService/EmptyCall"
	scope := guardtest.Scope
	guard := tandemgrpc.ServerGuard{
		Guard: s.Guard,
		Scopes: func(method string) []string {
			if method == list {
				return []string{scope}
			}
			return nil
		},
		IsPublic: func(method string) bool { return method == empty },
	}
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(guard.ServerOptions()...)
	pb.RegisterTestServiceServer(server, named{})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	defer func() {
		server.Stop()
		<-served
	}()
	conn, err := grpc.NewClient("passthrough:///api", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	client := pb.NewTestServiceClient(conn)
	stream := func(ctx context.Context) (string, error) {
		replies, err := client.StreamingOutputCall(ctx, &pb.StreamingOutputCallRequest{})
		if err != nil {
			return "", err
		}
		reply, err := replies.Recv()
		return string(reply.GetPayload().GetBody()), err
	}
	single := func(ctx context.Context) (string, error) {
		reply, err := client.UnaryCall(ctx, &pb.SimpleRequest{})
		return string(reply.GetPayload().GetBody()), err
	}

	bearer := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer "+s.Token(t))
	for name, call := range map[string]func(context.Context) (string, error){"a call": single, "a stream": stream} {
		if who, err := call(bearer); who != "ann" || err != nil {
			t.Errorf("%s is of %q, %v", name, who, err)
		}
		for _, fields := range [][]string{{}, {"Bearer x"}, {"Bearer " + s.Token(t), "Bearer " + s.Token(t)}} {
			sent := metadata.MD{"authorization": fields}
			if _, err := call(metadata.NewOutgoingContext(t.Context(), sent)); status.Code(err) != codes.Unauthenticated {
				t.Errorf("%s with %d fields: %v", name, len(fields), err)
			}
		}
	}
	scope = "orders:delete"
	if _, err := single(bearer); status.Code(err) != codes.PermissionDenied {
		t.Errorf("without the scope: %v", err)
	}
	if _, err := client.EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Errorf("a public call: %v", err)
	}
}
