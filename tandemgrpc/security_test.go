package tandemgrpc_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/credentials/local"
	pb "google.golang.org/grpc/interop/grpc_testing"
	"google.golang.org/grpc/status"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

// secure starts servers with TLS, and signs ann in.
func secure(t *testing.T) (servers exampleServers, session *tandem.Session) {
	t.Helper()
	servers = startServers()
	t.Cleanup(servers.Close)
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: servers.URL, Transport: servers.Client().Transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	return servers, session
}

func dial(t *testing.T, addr string, options ...grpc.DialOption) pb.TestServiceClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return pb.NewTestServiceClient(conn)
}

// Over TLS a call carries the access token, with the options of the connection or with
// those of the call alone.
func TestCallsOverTLS(t *testing.T) {
	servers, session := secure(t)
	tls := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(servers.roots, ""))
	client := dial(t, servers.grpcAddr, append(tandemgrpc.DialOptions(session, tandemgrpc.Options{}), tls)...)
	if _, err := client.EmptyCall(t.Context(), &pb.Empty{}); err != nil {
		t.Error(err)
	}
	client = dial(t, servers.grpcAddr, tls)
	if _, err := client.EmptyCall(t.Context(), &pb.Empty{}, grpc.PerRPCCredentials(tandemgrpc.Credentials(session, tandemgrpc.Options{}))); err != nil {
		t.Error(err)
	}
}

// The client sends no token over an unencrypted connection, and a call that it refuses
// for that reason causes no refresh.
func TestNoTokenGoesInPlaintext(t *testing.T) {
	servers, session := secure(t)
	signedIn := tandemgrpc.DialOptions(session, tandemgrpc.Options{})
	if _, err := grpc.NewClient(servers.grpcAddr, append(signedIn, grpc.WithTransportCredentials(insecure.NewCredentials()))...); err == nil || !strings.Contains(err.Error(), "security") {
		t.Errorf("a connection in plaintext: %v", err)
	}

	client := dial(t, servers.grpcAddr, append(signedIn, grpc.WithTransportCredentials(local.NewCredentials()))...)
	if _, err := client.EmptyCall(t.Context(), &pb.Empty{}); err == nil || !strings.Contains(err.Error(), "insecure connection") {
		t.Errorf("a connection on one machine: %v", err)
	}

	client = dial(t, servers.grpcAddr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if _, err := client.EmptyCall(t.Context(), &pb.Empty{}, grpc.PerRPCCredentials(tandemgrpc.Credentials(session, tandemgrpc.Options{}))); err == nil {
		t.Error("a call in plaintext with credentials of its own was made")
	}
	if stats := session.Stats(); stats.Refreshes != 0 || stats.Expiries != 0 {
		t.Errorf("counted %+v", stats)
	}
}

// gRPC itself returns Unauthenticated for a call that it does not send. The client must
// not take that as the server's refusal.
func TestWhatIsNotSentIsNotRefused(t *testing.T) {
	servers, session := secure(t)
	notSent := status.Error(codes.Unauthenticated, "not sent")
	client := dial(t, servers.grpcAddr, append(
		tandemgrpc.DialOptions(session, tandemgrpc.Options{}),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(servers.roots, "")),
		grpc.WithChainUnaryInterceptor(func(context.Context, string, any, any, *grpc.ClientConn, grpc.UnaryInvoker, ...grpc.CallOption) error {
			return notSent
		}),
		grpc.WithChainStreamInterceptor(func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, grpc.Streamer, ...grpc.CallOption) (grpc.ClientStream, error) {
			return nil, notSent
		}),
	)...)
	ctx := context.WithoutCancel(t.Context()) // goroutines that wait for its end would be found
	if _, err := client.EmptyCall(ctx, &pb.Empty{}); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	if _, err := client.FullDuplexCall(ctx); status.Code(err) != codes.Unauthenticated {
		t.Error(err)
	}
	if stats := session.Stats(); stats.Refreshes != 0 || stats.Replays != 0 {
		t.Errorf("counted %+v", stats)
	}
}

// Printing credentials shows no token.
func TestPrintedCredentialsHaveNoToken(t *testing.T) {
	_, session := secure(t)
	c := tandemgrpc.Credentials(session, tandemgrpc.Options{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(verb, c); text != "tandemgrpc.Credentials" {
			t.Errorf("%s prints %q", verb, text)
		}
	}
}
