package tandemgrpc_test

import (
	"crypto/x509"
	"log"
	"net"
	"net/http/httptest"
	"os"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	pb "google.golang.org/grpc/interop/grpc_testing"

	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// exampleServers are a Tandem server and a gRPC server that accepts its tokens. Both
// use TLS.
type exampleServers struct {
	*httptest.Server
	roots    *x509.CertPool
	grpcAddr string
	stop     func()
}

func startServers() exampleServers {
	dir, err := os.MkdirTemp("", "tandem-example")
	if err != nil {
		log.Fatal(err)
	}
	inner, err := testserver.Start(dir)
	if err != nil {
		log.Fatal(err)
	}
	web := httptest.NewTLSServer(inner)
	roots := x509.NewCertPool()
	roots.AddCert(web.Certificate())

	checks := &api{tandem: inner}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&web.TLS.Certificates[0])), grpc.UnaryInterceptor(checks.unary))
	pb.RegisterTestServiceServer(server, checks)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	return exampleServers{Server: web, roots: roots, grpcAddr: listener.Addr().String(), stop: func() {
		server.Stop()
		web.Close()
		_ = inner.Close()
		_ = os.RemoveAll(dir)
	}}
}

// Close stops the servers and removes their files.
func (s exampleServers) Close() { s.stop() }
