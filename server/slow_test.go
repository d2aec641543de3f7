package server_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// serve serves a handler over TCP and returns the base of its URLs.
func serve(t testing.TB, handler http.Handler) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(func() {
		s.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s.URL
}

// pipeListener hands the ends of pipes to a server, so that its time can be
// the test's.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
}

func newPipeListener() *pipeListener { return &pipeListener{conns: make(chan net.Conn)} }

func (l *pipeListener) dial() net.Conn {
	client, server := net.Pipe()
	l.conns <- server
	return client
}

func (l *pipeListener) Accept() (net.Conn, error) {
	conn, ok := <-l.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.conns) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// TestSlowBodies: the program's http.Server has no time limits at all.
func TestSlowBodies(t *testing.T) {
	for name, c := range map[string]struct {
		head   string
		status int
	}{
		"a refresh":               {"POST /auth/refresh-token HTTP/1.1", 408},
		"a body that nobody read": {"GET /healthz HTTP/1.1", 200},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarness(t)
				listener := newPipeListener()
				program := &http.Server{Handler: h.server}
				var serving sync.WaitGroup
				serving.Go(func() { _ = program.Serve(listener) })
				defer serving.Wait()
				defer func() { _ = program.Close() }()

				conn := listener.dial()
				start := time.Now()
				if _, err := fmt.Fprintf(conn, "%s\r\nHost: auth\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", c.head); err != nil {
					t.Fatal(err)
				}
				res, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if err != nil {
					t.Fatal(err)
				}
				if res.StatusCode != c.status {
					t.Errorf("got %d, want %d", res.StatusCode, c.status)
				}
				if _, err := io.Copy(io.Discard, conn); err != nil {
					t.Errorf("the connection: %v", err)
				}
				if took := time.Since(start); took < 10*time.Second || took > 11*time.Second {
					t.Errorf("the connection was held for %v", took)
				}
			})
		})
	}
}
