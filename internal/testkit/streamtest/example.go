package streamtest

import (
	"context"
	"errors"
	"log"
	"net/http"
	"net/http/httptest"
	"os"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// Example starts a server on loopback and signs ann in. It is for an example, or for a
// test that needs real sockets. It returns the URL of the stream.
func Example(stream http.Handler, changes ...func(*tandem.Config)) (session *tandem.Session, url string, end func()) {
	dir, err := os.MkdirTemp("", "tandem-example")
	if err != nil {
		log.Fatal(err)
	}
	auth, err := testserver.Start(dir)
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", auth)
	mux.Handle(Path, auth.RequireSession(stream))
	server := httptest.NewServer(mux)
	config := tandem.Config{URL: server.URL, Transport: server.Client().Transport}
	for _, change := range changes {
		change(&config)
	}
	session, err = tandem.Open(context.Background(), tandem.NewMemoryStore(), config)
	if err != nil {
		log.Fatal(err)
	}
	if err := session.SignIn(context.Background(), "ann", "nna"); err != nil {
		log.Fatal(err)
	}
	return session, server.URL + Path, func() {
		server.CloseClientConnections()
		server.Close()
		if err := errors.Join(session.Close(), auth.Close(), os.RemoveAll(dir)); err != nil {
			log.Print(err)
		}
	}
}
