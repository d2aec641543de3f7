// Package testserver is a complete server for tests of its clients: the real handler
// over a real store, an API that accepts its access tokens, and counts of the traffic.
// Clients reach it without a network, so it works in a testing/synctest bubble.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// URL is the address of the server and its API.
const URL = "http://tandem.test"

// Paths that tests count.
const (
	Login   = "/auth/login"
	Refresh = "/auth/refresh-token"
	Logout  = "/auth/logout"
	Hello   = "/api/hello"
)

// AccessTTL is how long this server's access tokens live by default.
const AccessTTL = time.Minute

// A Server has the users ann and bob, with the passwords nna and bbo.
type Server struct {
	*server.Server
	Store *sqlitestore.Store

	mu     sync.Mutex
	served map[string]int
	events map[server.EventKind]int
	script func(w http.ResponseWriter, r *http.Request) bool
	api    http.Handler
}

type users struct{}

func (users) Authenticate(_ context.Context, name, password string) (server.Identity, error) {
	if (name == "ann" && password == "nna") || (name == "bob" && password == "bbo") {
		return server.Identity{Subject: "user-" + name, Username: name}, nil
	}
	return server.Identity{}, server.ErrInvalidCredentials
}

// New starts a server that stops when the test ends. The functions change its config
// before it starts.
func New(t testing.TB, changes ...func(*server.Config)) *Server {
	t.Helper()
	s, err := Start(t.TempDir(), changes...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// Start is New for callers without a test: they must close the server.
func Start(dir string, changes ...func(*server.Config)) (_ *Server, err error) {
	store, err := sqlitestore.Open(context.Background(), filepath.Join(dir, "tandem.db"))
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = store.Close()
		}
	}()
	signing, err := server.GenerateSigningKey(server.EdDSA)
	if err != nil {
		return nil, err
	}
	refresh, err := server.NewRefreshKey()
	if err != nil {
		return nil, err
	}
	s := &Server{Store: store, served: map[string]int{}, events: map[server.EventKind]int{}}
	config := server.Config{
		Issuer:      URL,
		Store:       store,
		Directory:   users{},
		SigningKey:  signing,
		RefreshKeys: []rotation.Key{refresh},
		AccessTTL:   AccessTTL,
		OnEvent:     s.note,
	}
	for _, change := range changes {
		change(&config)
	}
	if s.Server, err = server.New(config); err != nil {
		return nil, err
	}
	s.api = s.RequireSession(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		access, _ := server.FromContext(r.Context())
		fmt.Fprintf(w, "hello %s", access.Subject)
	}))
	return s, nil
}

// Close stops the server and closes its store. It may be called twice.
func (s *Server) Close() error { return errors.Join(s.Server.Close(), s.Store.Close()) }

// Script makes the server call do first for every request. If do returns false, the
// server handles the request itself. A nil do removes the script.
func (s *Server) Script(do func(w http.ResponseWriter, r *http.Request) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script = do
}

// Served returns how many requests for a path the server has received.
func (s *Server) Served(path string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.served[path]
}

// Events returns how many events of a kind the server has reported.
func (s *Server) Events(kind server.EventKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[kind]
}

func (s *Server) note(e server.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[e.Kind]++
}

// ServeHTTP counts the request, calls the script, and then the server's handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.served[r.URL.Path]++
	script := s.script
	s.mu.Unlock()
	switch {
	case script != nil && script(w, r):
	case strings.HasPrefix(r.URL.Path, "/api/"):
		s.api.ServeHTTP(w, r)
	default:
		s.Server.ServeHTTP(w, r)
	}
}

// Transport returns a round tripper that reaches the server.
func (s *Server) Transport() http.RoundTripper { return inproc.Transport{Handler: s} }
