package sidecar_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const secret = "0123456789abcdef"

// A scene is a server with its API, a session of ann's, and the proxy.
type scene struct {
	*testing.T
	auth    *testserver.Server
	session *tandem.Session
	store   tandem.Store
	proxy   string // the address, with the secret
	client  *http.Client
}

func newScene(t *testing.T, changes ...func(*sidecar.Config)) *scene {
	t.Helper()
	s := &scene{T: t, auth: testserver.New(t), store: tandem.NewMemoryStore()}
	target := httptest.NewServer(s.auth)
	t.Cleanup(target.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	var err error
	s.session, err = tandem.Open(t.Context(), s.store, tandem.Config{URL: target.URL, Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.session.Close() })
	if err := s.session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(target.URL)
	if err != nil {
		t.Fatal(err)
	}
	way := sidecar.NewTransport(transport)
	t.Cleanup(func() { (&http.Client{Transport: way}).CloseIdleConnections() })
	config := sidecar.Config{Session: s.session, Target: u, Secret: secret, Transport: way}
	for _, change := range changes {
		change(&config)
	}
	proxy := httptest.NewServer(sidecar.New(config))
	t.Cleanup(proxy.Close)
	s.proxy = proxy.URL + "/" + secret
	s.client = proxy.Client()
	return s
}

// expire has the access token refused from now on.
func (s *scene) expire() {
	s.Helper()
	refused, err := s.session.Token(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Authorization") != "Bearer "+refused {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
}

func (s *scene) send(method, address, body string, change func(*http.Request)) (*http.Response, string) {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), method, address, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	if change != nil {
		change(req)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp, string(text)
}

func (s *scene) want(resp *http.Response, text string, status int, part string) {
	s.Helper()
	if resp.StatusCode != status || !strings.Contains(text, part) {
		s.Errorf("got %d %s, want %d %s", resp.StatusCode, text, status, part)
	}
}

func TestOnlyThoseWithTheSecretGetThrough(t *testing.T) {
	s := newScene(t)
	base := strings.TrimSuffix(s.proxy, secret)
	withHeader := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(sidecar.SecretHeader, value) }
	}
	for _, c := range []struct {
		name, url string
		change    func(*http.Request)
		status    int
		want      string
	}{
		{"in the path", s.proxy + testserver.Hello, nil, 200, "hello user-ann"},
		{"in the header", strings.TrimSuffix(base, "/") + testserver.Hello, withHeader(secret), 200, "hello user-ann"},
		{"with a placeholder of the program's", s.proxy + testserver.Hello, func(r *http.Request) { r.Header.Set("Authorization", "Bearer none") }, 200, "hello user-ann"},
		{"without", strings.TrimSuffix(base, "/") + testserver.Hello, nil, 403, "must be the secret"},
		{"a part of it", base + secret[:15] + testserver.Hello, nil, 403, "forbidden"},
		{"a wrong header beats the path", s.proxy + testserver.Hello, withHeader("x"), 403, "forbidden"},
	} {
		resp, text := s.send(http.MethodGet, c.url, "", c.change)
		s.want(resp, text, c.status, c.want)
		if t.Failed() {
			t.Fatal(c.name)
		}
	}
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get(sidecar.SecretHeader) != "" || r.Header.Get("Referer") != "" || strings.Contains(r.URL.String(), secret) {
			t.Error("the secret went to the target")
		}
		return false
	})
	s.send(http.MethodGet, s.proxy+testserver.Hello, "", func(r *http.Request) { r.Header.Set("Referer", strings.Replace(s.proxy, "a", "%61", 1)+"/page") })
	s.send(http.MethodGet, strings.TrimSuffix(base, "/")+testserver.Hello, "", withHeader(secret))
}

// A token that has run out is replaced, and the program sees nothing of it: with a
// small body, which is sent again.
func TestAnExpiredTokenGoesUnnoticed(t *testing.T) {
	s := newScene(t)
	s.expire()
	resp, text := s.send(http.MethodPost, s.proxy+testserver.Hello, `{"order":1}`, nil)
	s.want(resp, text, 200, "hello user-ann")
	if n := s.auth.Served(testserver.Refresh); n != 1 {
		t.Errorf("%d refreshes, want 1", n)
	}
}

// A body that only streams cannot be sent again; the refusal reaches the program, whose
// own second try works.
func TestAStreamThatIsRefused(t *testing.T) {
	s := newScene(t)
	s.expire()
	stream := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a stream")), -1 }
	resp, text := s.send(http.MethodPost, s.proxy+testserver.Hello, "", stream)
	s.want(resp, text, 401, "")
	resp, text = s.send(http.MethodPost, s.proxy+testserver.Hello, "", stream)
	s.want(resp, text, 200, "hello user-ann")
}

func TestWhatAProgramIsTold(t *testing.T) {
	s := newScene(t)
	s.expire()
	refused, _ := s.session.Token(t.Context())
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == testserver.Refresh:
			w.WriteHeader(http.StatusServiceUnavailable)
		case r.Header.Get("Authorization") == "Bearer "+refused:
			w.WriteHeader(http.StatusUnauthorized)
		default:
			return false
		}
		return true
	})
	resp, text := s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
	s.want(resp, text, 503, "temporarily_unavailable")
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	s.auth.Script(nil)
	if err := s.session.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	resp, text = s.send(http.MethodGet, s.proxy+testserver.Hello, "", nil)
	s.want(resp, text, 401, "run tandem login")
}

// An answer streams: its beginning arrives while the end is not there yet.
func TestAnswersStream(t *testing.T) {
	s := newScene(t)
	goOn := make(chan struct{})
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		<-goOn
		fmt.Fprint(w, "data: second\n\n")
		return true
	})
	resp, err := s.client.Get(s.proxy + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	if !lines.Scan() || lines.Text() != "data: first" {
		t.Errorf("got %q", lines.Text())
	}
	close(goOn)
	for lines.Scan() {
		if lines.Text() == "data: second" {
			return
		}
	}
	t.Error("the second event never came")
}

// A connection that is upgraded goes both ways.
func TestUpgrades(t *testing.T) {
	s := newScene(t)
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Upgrade") != "echo" || !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") {
			t.Errorf("the target got %v", r.Header)
			return false
		}
		conn, stream, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return true
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := stream.ReadString('\n')
		fmt.Fprint(conn, "you said ", line)
		return true
	})
	u, err := url.Parse(s.proxy)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /%s/chat HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", secret, u.Host)
	answer := bufio.NewReader(conn)
	resp, err := http.ReadResponse(answer, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	fmt.Fprint(conn, "hello\n")
	if line, err := answer.ReadString('\n'); line != "you said hello\n" {
		t.Errorf("%q, %v", line, err)
	}
}
