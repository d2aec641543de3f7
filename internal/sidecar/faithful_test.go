package sidecar_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// A recorder is a target that notes what reaches it.
type recorder struct {
	mu   sync.Mutex
	seen []string
}

// take returns what was noted since.
func (rec *recorder) take() string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	defer func() { rec.seen = nil }()
	return strings.Join(rec.seen, "\n")
}

func headerText(h http.Header, without ...string) string {
	h = maps.Clone(h)
	for _, name := range without {
		h.Del(name)
	}
	var text strings.Builder
	_ = h.Write(&text)
	return text.String()
}

// serve notes a request, and answers in one of many ways.
func (rec *recorder) serve(w http.ResponseWriter, r *http.Request) bool {
	if strings.HasPrefix(r.URL.Path, "/auth/") {
		return false
	}
	if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ey") {
		w.WriteHeader(http.StatusTeapot)
		return true
	}
	body, err := io.ReadAll(r.Body)
	if r.Method == http.MethodGet && r.ContentLength == 0 {
		r.Header.Del("Content-Length") // some clients say it, which changes nothing
	}
	rec.mu.Lock()
	rec.seen = append(rec.seen, fmt.Sprintf("%s %s\n%sbody %q %v\ntrailer %v", r.Method, r.RequestURI,
		headerText(r.Header, "Authorization", "Expect", "Connection", "Upgrade", "Http2-Settings"), body, err, r.Trailer))
	rec.mu.Unlock()
	h := w.Header()
	switch r.URL.Path {
	case "/gzip":
		h.Set("Content-Encoding", "gzip")
		h.Set("Content-Type", "text/plain")
		h.Set("Etag", `"1"`)
		packed := gzip.NewWriter(w)
		_, _ = io.WriteString(packed, "packed")
		_ = packed.Close()
	case "/untyped":
		h["Content-Type"] = nil
		_, _ = io.WriteString(w, "<html>")
	case "/headers":
		h.Set("Access-Control-Allow-Origin", "*")
		h["Set-Cookie"] = []string{"a=1; Path=/", "b=2"}
		h.Set("X-Empty", "")
		h.Set("Link", "</2>; rel=next")
		w.WriteHeader(299)
	case "/empty":
		w.WriteHeader(http.StatusNoContent)
	case "/unchanged":
		h.Set("Etag", `"1"`)
		w.WriteHeader(http.StatusNotModified)
	case "/hints":
		h.Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		_, _ = io.WriteString(w, "after the hints")
	case "/trailer":
		h.Set("Trailer", "Sum")
		_, _ = io.WriteString(w, "with a trailer")
		h.Set("Sum", "7")
	case "/refused":
		w.WriteHeader(http.StatusForbidden)
	default:
		_, _ = io.WriteString(w, "got it")
	}
	return true
}

// newComparison returns a scene whose target notes what reaches it, and the target's
// address.
func newComparison(t *testing.T) (s *scene, rec *recorder, direct string) {
	t.Helper()
	rec = &recorder{}
	s = newScene(t, func(config *sidecar.Config) { direct = config.Target.String() })
	s.auth.Script(rec.serve)
	return s, rec, direct
}

// raw sends a request as it is written, and returns the answers.
func (s *scene) raw(address, request string) string {
	s.Helper()
	u, err := url.Parse(address)
	if err != nil {
		s.Fatal(err)
	}
	token, err := s.session.Token(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		s.Fatal(err)
	}
	defer conn.Close()
	request = strings.NewReplacer("HOST", u.Host, "BASE", u.Path, "TOKEN", token).Replace(request)
	if _, err := io.WriteString(conn, request); err != nil {
		s.Fatal(err)
	}
	var answers strings.Builder
	reader := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	for {
		resp, err := http.ReadResponse(reader, &http.Request{Method: method})
		if err != nil {
			s.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		fmt.Fprintf(&answers, "%d\n%sbody %q %v\ntrailer %v\n", resp.StatusCode, headerText(resp.Header, "Date"), body, err, resp.Trailer)
		if resp.StatusCode >= 200 {
			return answers.String()
		}
	}
}

// What reaches the target is what was asked, to the byte, and what comes back is what it
// has answered.
func TestTheSameDirectAndThroughTheProxy(t *testing.T) {
	s, rec, direct := newComparison(t)
	const head = " HTTP/1.1\r\nHost: HOST\r\nAuthorization: Bearer TOKEN\r\n"
	for name, request := range map[string]string{
		"a query that is none":    "GET BASE/x?a;b&c=%zz&d=é&=&&+%20" + head + "\r\n",
		"an empty query":          "GET BASE/x?" + head + "\r\n",
		"escapes":                 "GET BASE/a%2Fb/%41/%2e%2E/%c3%a9%3f" + head + "\r\n",
		"what should be escaped":  "GET BASE/a|b/\"c\"/<d>/{e}/[f]/^`\\/é" + head + "\r\n",
		"slashes":                 "GET BASE//a///b//" + head + "\r\n",
		"dots":                    "GET BASE/a/./b/../c" + head + "\r\n",
		"parameters":              "GET BASE/a;v=1/b,c:d@e!f$g&h'i(j)*k+l=m" + head + "\r\n",
		"a word of its own":       "purge BASE/x" + head + "\r\n",
		"forwarded":               "GET BASE/x" + head + "Forwarded: for=_x\r\nX-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: a.example\r\n\r\n",
		"many headers":            "GET BASE/x" + head + "Accept: a\r\nAccept: b\r\nX-Empty:\r\nCookie: a=1; b=2\r\nRange: bytes=0-1\r\nReferer: https://elsewhere.example/?q\r\n\r\n",
		"a get with a body":       "GET BASE/x" + head + "Content-Length: 3\r\n\r\nabc",
		"a body":                  "POST BASE/x" + head + "Content-Length: 3\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\n\r\nabc",
		"no body":                 "POST BASE/x" + head + "Content-Length: 0\r\n\r\n",
		"a body in chunks":        "PUT BASE/x" + head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
		"a trailer":               "PUT BASE/x" + head + "Transfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n3\r\nabc\r\n0\r\nSum: 7\r\n\r\n",
		"a body that is waited":   "PUT BASE/x" + head + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
		"gzip that was asked for": "GET BASE/gzip" + head + "Accept-Encoding: gzip\r\n\r\n",
		"gzip that was not":       "GET BASE/gzip" + head + "\r\n",
		"no type":                 "GET BASE/untyped" + head + "\r\n",
		"headers of the answer":   "GET BASE/headers" + head + "\r\n",
		"nothing":                 "DELETE BASE/empty" + head + "\r\n",
		"nothing, of no length":   "DELETE BASE/empty" + head + "Content-Length: 0\r\n\r\n",
		"not modified":            "GET BASE/unchanged" + head + "If-None-Match: \"1\"\r\n\r\n",
		"a head":                  "HEAD BASE/gzip" + head + "\r\n",
		"early hints":             "GET BASE/hints" + head + "\r\n",
		"a trailer of the answer": "GET BASE/trailer" + head + "TE: trailers\r\n\r\n",
		"refused":                 "GET BASE/refused" + head + "\r\n",
		"HTTP/2, if you like":     "GET BASE/x" + head + "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			wantAnswer, want := s.raw(direct, request), rec.take()
			gotAnswer, got := s.raw(s.proxy, request), rec.take()
			if got != want {
				t.Errorf("the target got\n%s\nwant\n%s", got, want)
			}
			if gotAnswer != wantAnswer {
				t.Errorf("the answer was\n%s\nwant\n%s", gotAnswer, wantAnswer)
			}
		})
	}
}

// The same with clients in other languages, as they are out of the box.
func TestOtherClients(t *testing.T) {
	s, rec, direct := newComparison(t)
	token, err := s.session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const query = "?q=%7E~%20+%C3%A9&empty&x=a;b"
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string][]string{
		"curl": {"curl", "-sS", "--compressed", "-H", "Authorization: Bearer " + token, "-d", "a=b", "BASE/gzip" + query},
		"node": {"node", file("client.mjs", `
			const [base, token] = process.argv.slice(2);
			for (const [path, init] of [["/gzip", {}], ["/untyped", {method: "POST", body: "text"}], ["/headers", {method: "PUT", body: new Uint8Array([0, 255])}]]) {
				const answer = await fetch(base + path + "`+query+`", {...init, headers: {Authorization: "Bearer " + token}});
				console.log(answer.status, answer.headers.get("content-type"), answer.headers.get("content-encoding"), await answer.text());
			}`), "BASE", token},
		"python3": {"python3", file("client.py", `
import sys, urllib.request
base, token = sys.argv[1:]
for path, data in [("/gzip", None), ("/untyped", b"a=b")]:
    with urllib.request.urlopen(urllib.request.Request(base + path + "`+query+`", data, {"Authorization": "Bearer " + token})) as answer:
        print(answer.status, answer.headers["content-type"], answer.headers["content-encoding"], answer.read())
`), "BASE", token},
		"java": {"java", "-XX:TieredStopAtLevel=1", file("Client.java", `
import java.net.URI;
import java.net.http.*;
public class Client {
	public static void main(String[] args) throws Exception {
		HttpClient client = HttpClient.newHttpClient();
		for (String path : new String[] {"/gzip", "/untyped"}) {
			HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(args[0] + path + "`+query+`")).header("Authorization", "Bearer " + args[1]);
			if (path.equals("/untyped")) request.POST(HttpRequest.BodyPublishers.ofString("text"));
			HttpResponse<byte[]> answer = client.send(request.build(), HttpResponse.BodyHandlers.ofByteArray());
			System.out.println(answer.statusCode() + " " + answer.version() + " " + answer.headers().firstValue("content-type") + java.util.Arrays.toString(answer.body()));
		}
	}
}`), "BASE", token},
	} {
		t.Run(name, func(t *testing.T) {
			program := need.Program(t, c[0])
			ask := func(base string) (answer, reached string) {
				arguments := make([]string, 0, len(c))
				for _, a := range c[1:] {
					arguments = append(arguments, strings.ReplaceAll(a, "BASE", base))
				}
				var failed bytes.Buffer
				cmd := exec.CommandContext(t.Context(), program, arguments...)
				cmd.Stderr = &failed
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v\n%s", err, &failed)
				}
				return string(out), rec.take()
			}
			wantAnswer, want := ask(direct)
			gotAnswer, got := ask(s.proxy)
			if got != want || want == "" {
				t.Errorf("the target got\n%s\nwant\n%s", got, want)
			}
			if gotAnswer != wantAnswer {
				t.Errorf("the answer was\n%s\nwant\n%s", gotAnswer, wantAnswer)
			}
		})
	}
}

// A target that speaks HTTP/2 gets what clients of HTTP/1.1 ask, upgrades too: on a
// connection that can be upgraded.
func TestATargetThatSpeaksHTTP2(t *testing.T) {
	versions := make(chan int, 2)
	target := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		versions <- r.ProtoMajor
		if r.Header.Get("Upgrade") != "echo" {
			return
		}
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		_ = conn.Close()
	}))
	target.EnableHTTP2 = true
	target.StartTLS()
	defer target.Close()
	roots := x509.NewCertPool()
	roots.AddCert(target.Certificate())
	way := sidecar.NewTransport(&http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true})
	defer (&http.Client{Transport: way}).CloseIdleConnections()
	s := newScene(t, func(config *sidecar.Config) {
		u, err := url.Parse(target.URL)
		if err != nil {
			t.Fatal(err)
		}
		config.Target, config.Transport = u, way
	})
	const head = " HTTP/1.1\r\nHost: HOST\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\n"
	if answer := s.raw(s.proxy, "GET BASE/|x"+head+"Upgrade: h2c\r\n\r\n"); !strings.HasPrefix(answer, "200") {
		t.Error(answer)
	}
	if v := <-versions; v != 2 {
		t.Errorf("the target was asked with HTTP/%d", v)
	}
	u, err := url.Parse(s.proxy)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s/x HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n", u.Path, u.Host)
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Errorf("%v, %v", resp, err)
	}
}

// An answer begins while the request has not ended, and each side hears the other at once.
func TestBothWaysAtOnce(t *testing.T) {
	s := newScene(t)
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		control := http.NewResponseController(w)
		_ = control.EnableFullDuplex()
		w.WriteHeader(http.StatusOK)
		_ = control.Flush()
		lines := bufio.NewScanner(r.Body)
		for lines.Scan() {
			_, _ = fmt.Fprintln(w, "you said", lines.Text())
			_ = control.Flush()
		}
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	body, say := io.Pipe()
	defer body.Close()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.proxy+"/talk", body)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	heard := bufio.NewScanner(resp.Body)
	for _, word := range []string{"one", "two"} {
		_, _ = fmt.Fprintln(say, word)
		if !heard.Scan() || heard.Text() != "you said "+word {
			t.Fatalf("heard %q, %v", heard.Text(), heard.Err())
		}
	}
	_ = say.Close()
	if heard.Scan() || heard.Err() != nil {
		t.Errorf("heard %q, %v", heard.Text(), heard.Err())
	}
}

// A page of another origin may read the answer after an informational one, and one that
// its upload is refused with.
func TestWhoMayReadAnAnswer(t *testing.T) {
	const origin = "http://localhost:5173"
	s := newScene(t, func(config *sidecar.Config) { config.Origins = []string{origin} })
	refused, err := s.session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, "/auth/") {
			return false
		}
		w.Header().Set("Access-Control-Allow-Origin", "https://elsewhere.example")
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/hints" {
			w.WriteHeader(http.StatusEarlyHints)
		} else if r.Header.Get("Authorization") == "Bearer "+refused {
			w.WriteHeader(http.StatusUnauthorized)
		}
		return true
	})
	for path, want := range map[string]int{"/hints": 200, "/upload": 401} {
		resp, text := s.send(http.MethodPost, s.proxy+path, "text", func(r *http.Request) {
			r.Header.Set("Origin", origin)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader("a stream")), -1
		})
		s.want(resp, text, want, "")
		if got := resp.Header.Values("Access-Control-Allow-Origin"); len(got) != 1 || got[0] != origin {
			t.Errorf("%s may be read by %q", path, got)
		}
	}
}

// WebDAV says in a header where something goes to.
func TestDestinations(t *testing.T) {
	s, rec, direct := newComparison(t)
	s.send("MOVE", s.proxy+"/a", "", func(r *http.Request) { r.Header.Set("Destination", s.proxy+"/b%20c") })
	if got := rec.take(); !strings.Contains(got, "Destination: "+direct+"/b%20c\r\n") {
		t.Error(got)
	}
}
