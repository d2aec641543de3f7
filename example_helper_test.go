package tandem_test

import (
	"context"
	"errors"
	"log"
	"net/http/httptest"
	"os"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
)

// password is ann's on the server of the examples.
const password = "nna"

// An exampleServer is a real server that ann can sign in at.
type exampleServer struct {
	*httptest.Server
	inner *testserver.Server
	dir   string
}

func startServer() exampleServer {
	dir, err := os.MkdirTemp("", "tandem-example")
	if err != nil {
		log.Fatal(err)
	}
	inner, err := testserver.Start(dir)
	if err != nil {
		log.Fatal(err)
	}
	return exampleServer{Server: httptest.NewServer(inner), inner: inner, dir: dir}
}

func (s exampleServer) endAllSessions() {
	if _, err := s.inner.Store.EndSubject(context.Background(), "user-ann", rotation.Revoked, time.Now()); err != nil {
		log.Fatal(err)
	}
}

// Close ends the server and removes what it has kept.
func (s exampleServer) Close() {
	s.Server.Close()
	if err := errors.Join(s.inner.Close(), os.RemoveAll(s.dir)); err != nil {
		log.Print(err)
	}
}
