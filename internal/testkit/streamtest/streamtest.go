// Package streamtest is a server with a stream that requires a session, for tests of
// clients that keep such streams open. It runs in a testing/synctest bubble, over a
// network in memory.
package streamtest

import (
	"context"
	"maps"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// Path is the path of the stream, URL its full URL.
const (
	Path = "/stream"
	URL  = testserver.URL + Path
)

// A World is a real server that can stop and start again, and a session of the user
// ann.
type World struct {
	*testing.T
	Auth    *testserver.Server
	Session *tandem.Session

	network *inproc.Network
	stop    context.CancelFunc // cancels the contexts of the server's requests
	server  *http.Server
	serving sync.WaitGroup
}

// Run runs a story in which ann has signed in and the server is up. The story must
// leave no goroutine behind.
func Run(t *testing.T, stream http.Handler, story func(w *World), changes ...func(*tandem.Config)) {
	t.Helper()
	RunOn(t, func(*server.Config) {}, stream, story, changes...)
}

// RunOn is Run with changed server settings.
func RunOn(t *testing.T, settings func(*server.Config), stream http.Handler, story func(w *World), changes ...func(*tandem.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &World{T: t, Auth: testserver.New(t, settings), network: inproc.NewNetwork()}
		w.Serve(stream)
		w.Up()
		t.Cleanup(w.Down)
		w.Session = w.Open(changes...)
		if err := w.Session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		story(w)
	})
}

// Open opens another session, in which nobody has signed in.
func (w *World) Open(changes ...func(*tandem.Config)) *tandem.Session {
	w.Helper()
	transport := &http.Transport{DialContext: w.network.DialContext}
	config := tandem.Config{URL: testserver.URL, Transport: transport, RefreshAhead: -1}
	for _, change := range changes {
		change(&config)
	}
	s, err := tandem.Open(w.Context(), tandem.NewMemoryStore(), config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() {
		_ = s.Close()
		transport.CloseIdleConnections()
	})
	return s
}

// Serve replaces the handler of the stream.
func (w *World) Serve(stream http.Handler) {
	guarded := w.Auth.RequireSession(stream)
	w.Auth.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != Path {
			return false
		}
		guarded.ServeHTTP(rw, r)
		return true
	})
}

// Answer makes the server answer every request for the stream with a status, with or
// without a session.
func (w *World) Answer(status int, header http.Header) {
	w.Auth.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != Path {
			return false
		}
		maps.Copy(rw.Header(), header)
		rw.WriteHeader(status)
		return true
	})
}

// Up starts the server. The contexts of its requests end when Down is called.
func (w *World) Up() {
	ctx, cancel := context.WithCancel(context.Background())
	w.stop = cancel
	w.server = &http.Server{Handler: w.Auth, BaseContext: func(net.Listener) context.Context { return ctx }, ReadHeaderTimeout: time.Minute}
	up, listener := w.server, w.network.Listen("tandem.test:80")
	w.serving.Go(func() { _ = up.Serve(listener) })
}

// Down cuts all connections and stops the server.
func (w *World) Down() {
	w.stop()
	_ = w.server.Close()
	w.serving.Wait()
}

// Expire waits until the access token has expired.
func (w *World) Expire() { time.Sleep(testserver.AccessTTL) }

// EndAtServer ends ann's sessions at the server, without the client's knowledge.
func (w *World) EndAtServer() {
	w.Helper()
	if _, err := w.Auth.Store.EndSubject(context.Background(), "user-ann", rotation.Revoked, time.Now()); err != nil {
		w.Fatal(err)
	}
}

// WantServed fails the test unless the server has received want requests for a path.
func (w *World) WantServed(path string, want int) {
	w.Helper()
	if got := w.Auth.Served(path); got != want {
		w.Errorf("%s was called %d times, want %d", path, got, want)
	}
}
