package sidecar_test

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// An app is a front end and its API, behind the access token.
type app struct {
	*testing.T
	refused atomic.Value // the access token that has run out
	heard   chan struct{}
}

const page = `<!doctype html><meta charset="utf-8"><title>app</title><script>
const got = {};
async function send(name, method, path, body) {
	try {
		const answer = await fetch(path, {method, body});
		got[name] = answer.status + " " + await answer.text();
	} catch {
		got[name] = "failed";
	}
}
function listen() {
	const events = new EventSource("events");
	let all = "";
	events.onmessage = (e) => {
		all += e.data;
		got.first ??= fetch("heard");
		if (e.data === "end") { events.close(); got.events = all; }
	};
}
function talk(url) {
	const socket = new WebSocket(url ?? new URL("socket", location.href.replace("http", "ws")));
	socket.onopen = () => socket.send("hello");
	socket.onmessage = (e) => { got.socket = e.data; };
	socket.onerror = () => { got.socket = "failed"; };
}
</script>`

func (a *app) serve(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/auth/") {
		return false
	}
	if r.Header.Get("Authorization") == "Bearer "+a.refused.Load().(string) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	if origin := r.Header.Get("Origin") + r.Header.Get("Sec-Fetch-Site"); origin != "" {
		a.Errorf("the target heard of the page: %s", origin)
	}
	w.Header().Set("Access-Control-Allow-Origin", "https://elsewhere.example")
	switch r.URL.Path {
	case "/app/":
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	case "/app/upload":
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "got %d", n)
	case "/app/moved":
		http.Redirect(w, r, "/app/there?x=1", http.StatusSeeOther)
	case "/app/there":
		fmt.Fprint(w, "here: ", r.URL.RawQuery)
	case "/app/heard":
		close(a.heard)
	case "/app/events":
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: begin\n\n")
		_ = http.NewResponseController(w).Flush()
		<-a.heard
		fmt.Fprint(w, "data: end\n\n")
	case "/app/socket":
		a.echoMessage(w, r)
	default:
		return false
	}
	return true
}

// echoMessage sends the first message of a WebSocket back (RFC 6455).
func (a *app) echoMessage(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, stream, err := http.NewResponseController(w).Hijack()
	if err != nil {
		a.Error(err)
		return
	}
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	var head [6]byte // kind, length, mask
	if _, err := io.ReadFull(stream, head[:]); err != nil {
		a.Error(err)
		return
	}
	message := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(stream, message); err != nil {
		a.Error(err)
		return
	}
	for i := range message {
		message[i] ^= head[2+i%4]
	}
	_, _ = conn.Write(append([]byte{0x81, byte(len(message))}, message...))
	_, _ = io.Copy(io.Discard, conn) // until the page has closed it
}

func newApp(t *testing.T, s *scene) *app {
	t.Helper()
	a := &app{T: t, heard: make(chan struct{})}
	a.refused.Store("")
	s.auth.Script(a.serve)
	return a
}

// expire has the access token refused from now on.
func (a *app) expire(s *scene) {
	token, err := s.session.Token(a.Context())
	if err != nil {
		a.Fatal(err)
	}
	a.refused.Store(token)
}

// A page in a browser and its API go through the proxy: requests, uploads, an event
// stream and a WebSocket, and each of them meets a token that has run out.
func TestAPageInABrowser(t *testing.T) {
	s := newScene(t)
	a := newApp(t, s)
	a.expire(s)
	tab := chrome.Open(t)
	tab.Go(s.proxy + "/app/")
	do := func(script, condition string) {
		t.Helper()
		a.expire(s)
		chrome.Eval[bool](tab, "("+script+", true)")
		tab.Until(condition)
	}
	do(`send("hello", "GET", "../api/hello")`, `got.hello === "200 hello user-ann"`)
	do(`send("small", "PUT", "upload", new Blob([new Uint8Array(500_000)]))`, `got.small === "200 got 500000"`)
	do(`send("moved", "GET", "moved")`, `got.moved === "200 here: x=1"`)
	do(`listen()`, `got.events === "beginend"`)
	do(`talk()`, `got.socket === "hello"`)
	// What is too long to be kept goes out once: the page hears of it, and sends it again.
	do(`send("large", "PUT", "upload", new Blob([new Uint8Array(5_000_000)]))`, `got.large === "401 "`)
	chrome.Eval[bool](tab, `(send("larger", "PUT", "upload", new Blob([new Uint8Array(5_000_000)])), true)`)
	tab.Until(`got.larger === "200 got 5000000"`)
	if n := s.auth.Served(testserver.Refresh); n != 7 {
		t.Errorf("%d refreshes, want 7", n)
	}
}

// A page of another origin gets through if it was named, and only then.
func TestAPageOfAnotherOrigin(t *testing.T) {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, page)
	}))
	defer front.Close()
	for name, c := range map[string]struct {
		origins        []string
		upload, socket string
	}{
		"named":     {[]string{front.URL}, "200 got 3", "hello"},
		"not named": {nil, "failed", "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, func(config *sidecar.Config) { config.Origins = c.origins })
			a := newApp(t, s)
			a.expire(s)
			tab := chrome.Open(t)
			tab.Go(front.URL)
			chrome.Eval[bool](tab, fmt.Sprintf(`(send("sent", "PUT", %q, "abc"), true)`, s.proxy+"/app/upload"))
			tab.Until(fmt.Sprintf(`got.sent === %q`, c.upload))
			chrome.Eval[bool](tab, fmt.Sprintf(`(talk(%q), true)`, strings.Replace(s.proxy, "http", "ws", 1)+"/app/socket"))
			tab.Until(fmt.Sprintf(`got.socket === %q`, c.socket))
		})
	}
}

// A host name that a page could have made point here is refused, whoever sends it.
func TestHostNames(t *testing.T) {
	careful := newScene(t)
	anyHost := newScene(t, func(config *sidecar.Config) { config.AnyHost = true })
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8099": 200, "127.0.0.1": 200, "[::1]:8099": 200, "[::1]": 200, "192.0.2.1:8099": 200,
		"evil.example": 403, "evil.example:8099": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:80": 403,
	} {
		as := func(r *http.Request) { r.Host = host }
		resp, text := careful.send(http.MethodGet, careful.proxy+testserver.Hello, "", as)
		careful.want(resp, text, want, "")
		resp, text = anyHost.send(http.MethodGet, anyHost.proxy+testserver.Hello, "", as)
		anyHost.want(resp, text, 200, "hello user-ann")
	}
}

// An upload reaches the target while its end is not there yet.
func TestUploadsStream(t *testing.T) {
	s := newScene(t)
	first := make(chan string, 1)
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		body := bufio.NewReader(r.Body)
		line, _ := body.ReadString('\n')
		first <- line
		rest, _ := io.ReadAll(body)
		fmt.Fprint(w, len(rest))
		return true
	})
	reader, writer := io.Pipe()
	go func() {
		_, _ = io.WriteString(writer, "first\n")
		if line := <-first; line != "first\n" {
			t.Errorf("first came %q", line)
		}
		_, _ = writer.Write(make([]byte, 3<<20))
		_ = writer.Close()
	}()
	resp, text := s.send(http.MethodPut, s.proxy+"/upload", "", func(r *http.Request) { r.Body, r.ContentLength = reader, -1 })
	s.want(resp, text, 200, "3145728")
}

// curl follows where the target points to, and stays with the proxy.
func TestCurl(t *testing.T) {
	s := newScene(t)
	a := newApp(t, s)
	a.expire(s)
	curl := need.Program(t, "curl")
	base := strings.TrimSuffix(s.proxy, "/"+secret)
	for _, arguments := range [][]string{
		{s.proxy + "/app/moved"},
		{base + "/app/moved", "-H", sidecar.SecretHeader + ": " + secret},
	} {
		out, err := exec.CommandContext(t.Context(), curl, append([]string{"-sSL"}, arguments...)...).CombinedOutput()
		if err != nil || string(out) != "here: x=1" {
			t.Errorf("curl: %s, %v", out, err)
		}
	}
}
