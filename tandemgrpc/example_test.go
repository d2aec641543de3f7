package tandemgrpc_test

import (
	"context"
	"fmt"
	"log"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tandemgrpc"
)

// Every call on the connection carries an access token, for as long as the program
// runs.
func Example() {
	servers := startServers() // yours
	defer servers.Close()
	ctx := context.Background()

	session, err := tandem.Open(ctx, tandem.NewMemoryStore(), tandem.Config{URL: servers.URL, Transport: servers.Client().Transport})
	if err != nil {
		log.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(ctx, "ann", "nna"); err != nil {
		log.Fatal(err)
	}

	conn, err := grpc.NewClient(servers.grpcAddr, append(
		tandemgrpc.DialOptions(session, tandemgrpc.Options{}),
		grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(servers.roots, "")),
	)...)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()

	_, err = pb.NewTestServiceClient(conn).EmptyCall(ctx, &pb.Empty{})
	fmt.Println("error:", err)
	// Output: error: <nil>
}
