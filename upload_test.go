package tandem_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

func noneAtAll(string) bool { return false }

const uploadSize = 12 << 20

// large is a body that no buffer on the way takes whole.
func large() io.Reader { return strings.NewReader(strings.Repeat("0", uploadSize)) }

// largeOnce is one that can be read only once.
func largeOnce() io.Reader { return io.LimitReader(zeros{}, uploadSize) }

// resetAfter401 refuses a request before its body has arrived, and resets the connection,
// or the stream over HTTP/2 (RFC 9113 section 8.1).
func resetAfter401(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor == 1 {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
			reset(conn)
		}
		return
	}
	w.WriteHeader(http.StatusUnauthorized) // the server resets the stream
}

// reset closes a connection so that the other end gets an RST.
func reset(conn net.Conn) {
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

var protocols = []string{"HTTP/1.1", "HTTP/1.1 with TLS", "HTTP/2"}

// A server that answers 401 in the middle of an upload and resets the connection has
// refused the access token: that is no row of connection errors.
func TestAnUploadThatIsResetAfterItsRefusal(t *testing.T) {
	const rounds = 4 // which of the two net/http sees first is chance
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			n := newNetwork(t, protocol, asItIs)
			for range rounds {
				n.refuse(n.otherThanNow(), resetAfter401)
				if status, err := n.post(large()); err != nil || status != http.StatusOK {
					t.Fatalf("a body that can be sent again: status %d, %v", status, err)
				}
				n.refuse(n.otherThanNow(), resetAfter401)
				_, err := n.post(largeOnce())
				if refused, ok := errors.AsType[*tandem.BodyNotReplayableError](err); !ok {
					t.Fatalf("a body that cannot: got %v, want a BodyNotReplayableError", err)
				} else if refused.Response.StatusCode != http.StatusUnauthorized {
					t.Errorf("the answer in the error has status %d", refused.Response.StatusCode)
				}
				if status, err := n.post(largeOnce()); err != nil || status != http.StatusOK {
					t.Fatalf("the caller's own retry: status %d, %v", status, err)
				}
			}
			n.expectRefreshes(2 * rounds)
		})
	}
}

// An API that refuses and resets whatever upload it is given costs one refresh, not one
// for each upload.
func TestAnAPIThatResetsEveryUpload(t *testing.T) {
	for name, body := range map[string]func() io.Reader{"can be sent again": large, "can be read only once": largeOnce} {
		t.Run(name, func(t *testing.T) {
			n := newNetwork(t, "HTTP/1.1", asItIs)
			n.refuse(noneAtAll, func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodPost {
					resetAfter401(w, r)
				}
			})
			for range 10 {
				_, _ = n.post(body())
				if status, err := get(n.session.Client(), n.server.URL+testserver.Hello); err != nil || status != http.StatusOK {
					t.Fatalf("what has no body: status %d, %v", status, err)
				}
			}
			n.expectRefreshes(1)
		})
	}
}

// A connection that breaks in the middle of an upload, without an answer, says nothing
// about what the server has done: the request is not sent again. The next upload has the
// access token refreshed first, once.
func TestAnUploadThatBreaksOffWithoutAnAnswer(t *testing.T) {
	for _, protocol := range protocols {
		t.Run(protocol, func(t *testing.T) {
			n := newNetwork(t, protocol, asItIs)
			n.refuse(n.otherThanNow(), func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.CopyN(io.Discard, r.Body, 100)
				reset(r.Context().Value(connOf{}).(net.Conn))
			})
			if _, err := n.post(largeOnce()); err == nil {
				t.Error("no error")
			}
			if got := n.auth.Served(testserver.Hello); got != 1 {
				t.Errorf("it was sent %d times", got)
			}
			n.expectRefreshes(0)
			if status, err := n.post(largeOnce()); err != nil || status != http.StatusOK {
				t.Errorf("the next one: status %d, %v", status, err)
			}
			n.expectRefreshes(1)
			n.refuse(noneAtAll, func(_ http.ResponseWriter, r *http.Request) { reset(r.Context().Value(connOf{}).(net.Conn)) })
			for range 5 {
				_, _ = n.post(largeOnce())
			}
			n.expectRefreshes(1)
		})
	}
}

// Doubt is no reason to stop: an access token that is good goes on being used while there
// is no refresh to be had.
func TestADoubtedTokenServesOnWhileARefreshFails(t *testing.T) {
	n := newNetwork(t, "HTTP/1.1", asItIs)
	n.refuse(noneAtAll, func(_ http.ResponseWriter, r *http.Request) { reset(r.Context().Value(connOf{}).(net.Conn)) })
	if _, err := n.post(largeOnce()); err == nil {
		t.Error("no error")
	}
	n.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case testserver.Refresh:
			w.Header().Set("Retry-After", "60")
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		case testserver.Hello:
			_, _ = io.Copy(io.Discard, r.Body)
			return true
		}
		return false
	})
	for range 3 {
		if status, err := n.post(largeOnce()); err != nil || status != http.StatusOK {
			t.Errorf("status %d, %v", status, err)
		}
	}
	if got := n.auth.Served(testserver.Refresh); got != 1 {
		t.Errorf("%d attempts at a refresh, want 1", got)
	}
}
