package server_test

import (
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/rotation"
)

// A browser sends requests in cookie mode, as pages at one address do, and keeps the
// cookies that come back.
type browser struct {
	h   *harness
	jar *cookiejar.Jar
	// address is that of the pages and of the server.
	address string
	// header replaces fields of every request.
	header http.Header
}

func (h *harness) browser() *browser {
	h.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return &browser{h: h, jar: jar, address: issuer}
}

// A reply is an answer that the server has given and the browser has not received yet.
type reply struct {
	answer
	from    *url.URL
	cookies []*http.Cookie
}

// send sends a request with the browser's cookies. The server handles it at once.
func (b *browser) send(path, body string) reply {
	b.h.t.Helper()
	at, err := url.Parse(b.address + path)
	if err != nil {
		b.h.t.Fatal(err)
	}
	header := http.Header{
		"Content-Type": {"application/json"}, "Tandem-Cookie": {"1"},
		"Origin": {b.address}, "Sec-Fetch-Site": {"same-origin"},
	}
	for _, cookie := range b.jar.Cookies(at) {
		header.Add("Cookie", cookie.String())
	}
	maps.Copy(header, b.header)
	if cookies := header["Cookie"]; len(cookies) > 1 { // HTTP/1.1 has one field
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	a := b.h.send(request{method: "POST", path: path, body: body, header: header})
	return reply{answer: a, from: at, cookies: (&http.Response{Header: a.header}).Cookies()}
}

// receive lets a reply arrive.
func (b *browser) receive(r reply) answer {
	b.jar.SetCookies(r.from, r.cookies)
	return r.answer
}

// post sends a request and receives its reply.
func (b *browser) post(path, body string) answer {
	b.h.t.Helper()
	return b.receive(b.send(path, body))
}

func (b *browser) signIn(username, password string) answer {
	b.h.t.Helper()
	return b.post("/auth/login", object("username", username, "password", password))
}

// refresh refreshes a session, or with "" the one that the browser has.
func (b *browser) refresh(session string) answer {
	b.h.t.Helper()
	return b.post("/auth/refresh-token", object("sessionId", session))
}

func (b *browser) signOut(session string) answer {
	b.h.t.Helper()
	return b.post("/auth/logout", object("sessionId", session))
}

// signedIn is for tests about what comes after.
func (b *browser) signedIn() answer {
	b.h.t.Helper()
	a := b.signIn("alice", "wonderland")
	a.want(b.h.t, 200, "", "")
	b.h.kinds()
	return a
}

// held are the cookies that the browser would send to the server.
func (b *browser) held() []*http.Cookie {
	at, err := url.Parse(b.address + "/auth/refresh-token")
	if err != nil {
		b.h.t.Fatal(err)
	}
	return b.jar.Cookies(at)
}

func (b *browser) wantCookies(t testing.TB, n int) {
	t.Helper()
	if held := b.held(); len(held) != n {
		t.Errorf("the browser has %d cookies, want %d: %v", len(held), n, held)
	}
}

// copy is what a thief takes.
func (b *browser) copy() *browser {
	b.h.t.Helper()
	thief := b.h.browser()
	at, err := url.Parse(b.address + "/auth/login")
	if err != nil {
		b.h.t.Fatal(err)
	}
	thief.jar.SetCookies(at, b.held())
	return thief
}

// tokenOf returns the contents of a cookie's refresh token.
func (h *harness) tokenOf(cookie *http.Cookie) rotation.Token {
	h.t.Helper()
	codec, err := rotation.NewCodec(h.cfg.RefreshKeys...)
	if err != nil {
		h.t.Fatal(err)
	}
	token, err := codec.Decode(cookie.Value)
	if err != nil {
		h.t.Fatalf("the cookie %s has no refresh token: %v", cookie.Name, err)
	}
	return token
}
