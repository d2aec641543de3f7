package tandem_test

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// A network is a real server on real sockets, and one session of ann's on it.
type network struct {
	*testing.T
	auth    *testserver.Server
	server  *httptest.Server
	session *tandem.Session
}

type connOf struct{}

// newNetwork starts it, over HTTP/1.1, HTTP/1.1 with TLS or HTTP/2. The session's
// transport is what change makes of one that trusts the server.
func newNetwork(t *testing.T, protocol string, change func(*http.Transport) http.RoundTripper, configs ...func(*tandem.Config)) *network {
	t.Helper()
	n := &network{T: t, auth: testserver.New(t)}
	n.server = httptest.NewUnstartedServer(n.auth)
	n.server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connOf{}, c)
	}
	base := &http.Transport{}
	switch protocol {
	case "HTTP/1.1":
		n.server.Start()
	case "HTTP/1.1 with TLS":
		n.server.StartTLS()
		base.TLSClientConfig = n.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	case "HTTP/2":
		n.server.EnableHTTP2 = true
		n.server.StartTLS()
		base.TLSClientConfig = n.server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		base.ForceAttemptHTTP2 = true
	}
	t.Cleanup(n.server.Close)
	t.Cleanup(n.server.CloseClientConnections)
	transport := change(base)
	t.Cleanup(transport.(interface{ CloseIdleConnections() }).CloseIdleConnections)
	config := tandem.Config{URL: n.server.URL, Transport: transport, RefreshAhead: -1}
	for _, c := range configs {
		c(&config)
	}
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	n.session = session
	return n
}

func asItIs(t *http.Transport) http.RoundTripper { return t }

// refuse has the API answer in its own way to everything but the tokens that accepted
// says are good.
func (n *network) refuse(accepted func(authorization string) bool, answer http.HandlerFunc) {
	n.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != testserver.Hello {
			return false
		}
		if !accepted(r.Header.Get("Authorization")) {
			answer(w, r)
			return true
		}
		_, _ = io.Copy(io.Discard, r.Body)
		return true
	})
}

// otherThanNow accepts all access tokens but the one in use now.
func (n *network) otherThanNow() func(string) bool {
	token, err := n.session.Token(n.Context())
	if err != nil {
		n.Fatal(err)
	}
	return func(authorization string) bool { return authorization != "Bearer "+token }
}

// post makes one request. It has a time limit, so that a test fails rather than hangs.
func (n *network) post(body io.Reader) (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.server.URL+testserver.Hello, body)
	if err != nil {
		return 0, err
	}
	resp, err := n.session.Client().Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// expectRefreshes does not count attempts: one may meet with a connection that is just
// being reset.
func (n *network) expectRefreshes(want int64) {
	n.Helper()
	if got := n.session.Stats().Refreshes; got != want {
		n.Errorf("%d refreshes, want %d", got, want)
	}
}

// within fails if something takes longer than it may.
func (n *network) within(limit time.Duration, do func()) {
	n.Helper()
	begun := time.Now()
	do()
	if took := time.Since(begun); took > limit {
		n.Errorf("it took %s, want at most %s", took, limit)
	}
}

// endless are bodies of a 401 that never come to an end.
var endless = map[string]http.HandlerFunc{
	"trickles": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, "no "); err != nil {
				return
			}
			_ = http.NewResponseController(w).Flush()
			<-tick.C
		}
	},
	"stalls": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "no, and ")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	},
	"stalls before its first byte": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	},
	"stalls, and is zipped": func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(http.StatusUnauthorized)
		zip := gzip.NewWriter(w)
		_, _ = io.WriteString(zip, "no, and ")
		_ = zip.Flush()
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	},
	"pours": func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.Copy(w, zeros{})
	},
}

// A refusal whose body never ends holds nobody for longer than it takes to see that.
func TestARefusalThatNeverEnds(t *testing.T) {
	t.Parallel()
	const slack = 1500 * time.Millisecond // of a machine that does other things as well
	for name, answer := range endless {
		for _, protocol := range []string{"HTTP/1.1", "HTTP/2"} {
			t.Run(name+", over "+protocol, func(t *testing.T) {
				t.Parallel()
				n := newNetwork(t, protocol, asItIs)
				n.refuse(n.otherThanNow(), answer)
				n.within(tandem.MaxDrain+slack, func() {
					if status, err := n.post(strings.NewReader("again")); err != nil || status != http.StatusOK {
						t.Errorf("a body that can be sent again: status %d, %v", status, err)
					}
				})
				n.refuse(n.otherThanNow(), answer)
				n.within(tandem.MaxBuffer+slack, func() {
					_, err := n.post(io.LimitReader(strings.NewReader("once"), 4))
					refused, ok := errors.AsType[*tandem.BodyNotReplayableError](err)
					if !ok {
						t.Fatalf("a body that cannot: got %v, want a BodyNotReplayableError", err)
					}
					if text, err := io.ReadAll(refused.Response.Body); err != nil || len(text) > 64<<10 {
						t.Errorf("%d bytes of the answer, %v", len(text), err)
					}
				})
				n.expectRefreshes(2)
			})
		}
	}
}

// Few connections and many requests, all of which are refused with an answer that never
// ends: the connections that it occupies come free.
func TestRefusalsThatNeverEndOnFewConnections(t *testing.T) {
	n := newNetwork(t, "HTTP/1.1", func(t *http.Transport) http.RoundTripper { t.MaxConnsPerHost = 6; return t })
	n.refuse(n.otherThanNow(), endless["stalls"])
	n.within(5*time.Second, func() {
		var calls sync.WaitGroup
		for range 50 {
			calls.Go(func() {
				if status, err := n.post(strings.NewReader("again")); err != nil || status != http.StatusOK {
					t.Errorf("status %d, %v", status, err)
				}
			})
		}
		calls.Wait()
	})
	n.expectRefreshes(1)
}
