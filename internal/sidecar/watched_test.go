package sidecar_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// signInElsewhere signs in at another server with the same store, and returns it.
func (s *scene) signInElsewhere() *testserver.Server {
	s.Helper()
	auth := testserver.New(s.T)
	server := httptest.NewServer(auth)
	s.Cleanup(server.Close)
	transport := &http.Transport{}
	s.Cleanup(transport.CloseIdleConnections)
	other, err := tandem.Open(s.Context(), s.store, tandem.Config{URL: server.URL, Transport: transport})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = other.Close() })
	if err := other.SignIn(s.Context(), "ann", "nna"); err != nil {
		s.Fatal(err)
	}
	return auth
}

// Somebody signs in at another server, where the proxy's session is kept: from then on
// nothing goes out, not even with the access token in hand, and the log says so once.
// Signed in where it was, the proxy goes on.
func TestSomebodySignsInAtAnotherServer(t *testing.T) {
	var logged bytes.Buffer
	s := newScene(t, func(config *sidecar.Config) { config.Logger = slog.New(slog.NewTextHandler(&logged, nil)) })
	resp, text := s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
	s.want(resp, text, 200, "hello user-ann")
	other := s.signInElsewhere()
	seen := s.auth.Served(testserver.Hello) + s.auth.Served(testserver.Refresh)
	for range 3 {
		resp, text = s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
		s.want(resp, text, 401, `"error":"other_server"`)
	}
	if n := s.auth.Served(testserver.Hello) + s.auth.Served(testserver.Refresh); n != seen {
		t.Errorf("the proxy's server has seen %d requests since", n-seen)
	}
	if n := other.Served(testserver.Hello) + other.Served(testserver.Refresh); n != 0 {
		t.Errorf("the other server has seen %d requests", n)
	}
	if n := strings.Count(logged.String(), "signed in at another server"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, &logged)
	}
	if err := s.session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	resp, text = s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
	s.want(resp, text, 200, "hello user-ann")
}

// The same, while a request is under way whose access token is refused.
func TestSomebodySignsInAtAnotherServerDuringARequest(t *testing.T) {
	s := newScene(t, func(config *sidecar.Config) { config.Reload = func(context.Context) error { return nil } })
	s.expire()
	other := s.signInElsewhere()
	resp, text := s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
	s.want(resp, text, 401, `"error":"other_server"`)
	if n := s.auth.Served(testserver.Refresh) + other.Served(testserver.Refresh); n != 0 {
		t.Errorf("%d refreshes, want none", n)
	}
}

// A store that cannot be read is no reason to stop: the session goes on with what it has,
// and the log has one line for it.
func TestAStoreThatCannotBeRead(t *testing.T) {
	var logged bytes.Buffer
	s := newScene(t, func(config *sidecar.Config) {
		config.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		config.Reload = func(context.Context) error { return errors.New("the keyring hangs") }
	})
	for range 3 {
		resp, text := s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
		s.want(resp, text, 200, "hello user-ann")
	}
	if n := strings.Count(logged.String(), "the keyring hangs"); n != 1 {
		t.Errorf("the log says so %d times:\n%s", n, &logged)
	}
}
