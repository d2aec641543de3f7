package sidecar_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/sidecar"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// base is the address of the proxy without the secret.
func (s *scene) base() string { return strings.TrimSuffix(s.proxy, "/"+secret) }

func inHeader(r *http.Request) { r.Header.Set(sidecar.SecretHeader, secret) }

// elsewhere is a host that the secret must not get to.
func elsewhere(t *testing.T) string {
	t.Helper()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), secret) {
				t.Errorf("another host has got the secret: %s: %s", name, values)
			}
		}
		if strings.Contains(r.URL.String(), secret) {
			t.Errorf("another host has got the secret: %s", r.URL)
		}
		_, _ = io.WriteString(w, "elsewhere")
	}))
	t.Cleanup(other.Close)
	return other.URL
}

// A redirect that leaves the target does not take the secret along, wherever a client has
// it: clients repeat their headers, and tell which address they come from.
func TestARedirectLeavesTheSecretBehind(t *testing.T) {
	other := elsewhere(t)
	host := strings.TrimPrefix(other, "http:")
	for name, location := range map[string]func(target string) string{
		"absolute":          func(string) string { return other + "/x" },
		"of another host":   func(string) string { return host + "/x" },
		"not to be parsed":  func(string) string { return host + "/%zz" },
		"two slashes":       func(target string) string { return target + host + "/x" },
		"a dot and slashes": func(string) string { return "/." + host + "/x" },
		"a backslash":       func(string) string { return `/\` + host[2:] + "/x" },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != "/away" {
					return false
				}
				w.Header().Set("Location", location("http://"+r.Host))
				w.WriteHeader(http.StatusTemporaryRedirect)
				return true
			})
			for _, c := range []struct {
				address string
				change  func(*http.Request)
			}{
				{s.proxy + "/away", nil},
				{s.base() + "/away", inHeader},
			} {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, c.address, http.NoBody)
				if err != nil {
					t.Fatal(err)
				}
				if c.change != nil {
					c.change(req)
				}
				if resp, err := s.client.Do(req); err == nil {
					if where := resp.Request.URL.Host; where != strings.TrimPrefix(other, "http://") && where != strings.TrimPrefix(s.base(), "http://") {
						t.Errorf("the client was led to %s", where)
					}
					_ = resp.Body.Close()
				}
			}
		})
	}
}

// A program that has the secret in its address gets to where the target redirects to; one
// that has it in a header is told, and a page behind a development server goes on.
func TestRedirectsElsewhere(t *testing.T) {
	s, other := newScene(t), elsewhere(t)
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, other+"/x?a=b&c=%20#d", http.StatusSeeOther)
		return true
	})
	resp, text := s.send(http.MethodPost, s.proxy+"/away", "body", nil)
	s.want(resp, text, 200, "elsewhere")
	if got := resp.Request.URL.String(); got != other+"/x?a=b&c=%20#d" {
		t.Errorf("the client is at %s", got)
	}
	resp, text = s.send(http.MethodGet, s.base()+"/away", "", inHeader)
	s.want(resp, text, 502, "redirect_elsewhere")
	s.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, text = s.send(http.MethodGet, s.base()+"/away", "", func(r *http.Request) {
		inHeader(r)
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	})
	s.want(resp, text, 303, "")
	if got := resp.Header.Get("Location"); got != other+"/x?a=b&c=%20#d" {
		t.Errorf("the page is sent to %s", got)
	}
	// Nobody without the secret can have the proxy redirect.
	resp, text = s.send(http.MethodGet, s.base()+"/~elsewhere/303/x?to="+url.QueryEscape(other), "", nil)
	s.want(resp, text, 403, "forbidden")
}

// No header takes the secret to the target, and none of a page takes it to another site.
func TestTheTargetDoesNotGetTheSecret(t *testing.T) {
	s := newScene(t)
	s.auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		for name, values := range r.Header {
			if strings.Contains(strings.Join(values, " "), secret) {
				t.Errorf("the target has got the secret: %s: %s", name, values)
			}
		}
		if strings.Contains(r.URL.String(), secret) {
			t.Errorf("the target has got the secret: %s", r.URL)
		}
		w.Header().Set("Referrer-Policy", r.Header.Get("X-Policy"))
		return true
	})
	s.send(http.MethodGet, s.proxy+"/x", "", inHeader) // in both
	s.send(http.MethodGet, s.proxy+"/x", "", func(r *http.Request) {
		for name, value := range map[string]string{
			"Referer":          strings.Replace(s.proxy, "127.0.0.1", "localhost", 1) + "/page",
			"X-Original-Url":   s.proxy + "/x",
			"X-Forwarded-Path": "/" + strings.Replace(secret, "a", "%61", 1) + "/x",
		} {
			r.Header.Set(name, value)
		}
	})
	for _, again := range []string{"/" + secret + "/x", "/x?from=http%3A%2F%2F127.0.0.1%2F" + secret + "%2F", "//" + strings.Replace(secret, "a", "%61", 1)} {
		resp, text := s.send(http.MethodGet, s.proxy+again, "", nil)
		s.want(resp, text, 403, "once more")
	}
	for policy, want := range map[string]string{
		"":                           "strict-origin-when-cross-origin",
		"unsafe-url":                 "strict-origin-when-cross-origin",
		"no-referrer":                "no-referrer",
		"no-referrer-when-downgrade": "strict-origin-when-cross-origin",
	} {
		resp, _ := s.send(http.MethodGet, s.proxy+"/x", "", func(r *http.Request) {
			r.Header.Set("X-Policy", policy)
			r.Header.Set("Sec-Fetch-Site", "none")
		})
		if got := resp.Header.Get("Referrer-Policy"); got != want {
			t.Errorf("a page whose policy is %q gets %q, want %q", policy, got, want)
		}
	}
}

// Nothing that shows what was sent goes to the target, nor a tunnel.
func TestMethodsThatAreNotPassedOn(t *testing.T) {
	s := newScene(t)
	s.auth.Script(func(_ http.ResponseWriter, r *http.Request) bool {
		t.Errorf("%s has reached the target", r.Method)
		return true
	})
	for _, method := range []string{"TRACE", "TRACK"} {
		resp, text := s.send(method, s.proxy+"/x", "", nil)
		s.want(resp, text, 405, "method_not_allowed")
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.base(), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n"+sidecar.SecretHeader+": "+secret+"\r\n\r\n")
	if answer, err := io.ReadAll(conn); !strings.HasPrefix(string(answer), "HTTP/1.1 405 ") {
		t.Errorf("%s, %v", answer, err)
	}
}

// A page of another site gets nothing by a GET that has no Origin, as for an image or a
// link, even if it knows the secret.
func TestAnotherSitesGet(t *testing.T) {
	s := newScene(t, func(config *sidecar.Config) { config.Origins = []string{"http://localhost:5173"} })
	for _, c := range []struct {
		site, referer string
		want          int
	}{
		{"", "https://api.example/", 200},
		{"none", "", 200},
		{"same-origin", s.proxy + "/", 200},
		{"cross-site", "", 403},
		{"cross-site", "https://evil.example/", 403},
		{"same-site", "http://localhost:3000/", 403}, // another port of this machine
		{"same-site", "http://localhost:5173/", 200},
		{"cross-site", "http://localhost:5173.evil.example/", 403},
	} {
		resp, _ := s.send(http.MethodGet, s.proxy+testserver.Hello, "", func(r *http.Request) {
			r.Header.Set("Sec-Fetch-Site", c.site)
			r.Header.Set("Referer", c.referer)
		})
		if resp.StatusCode != c.want {
			t.Errorf("%+v: got %d", c, resp.StatusCode)
		}
	}
}

// On a socket of its owner's the proxy asks for no secret.
func TestAPrivateSocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	path := filepath.Join(t.TempDir(), "proxy.sock")
	listener, err := sidecar.ListenPrivate(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("%v, %v", info, err)
	}
	var handler http.Handler
	s := newScene(t, func(config *sidecar.Config) {
		config.Secret, config.Private = "", true
		handler = sidecar.New(*config)
	})
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: handler}}
	server.Start()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	s.client = client
	resp, text := s.send(http.MethodGet, "http://any.name"+testserver.Hello, "", nil)
	s.want(resp, text, 200, "hello user-ann")
	resp, text = s.send(http.MethodGet, "http://any.name"+testserver.Hello, "", func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") })
	s.want(resp, text, 403, "forbidden_origin")

	if _, err := sidecar.ListenPrivate(t.Context(), path); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a second listener: %v", err)
	}
	server.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("after the end: %v", err)
	}
}

// A socket that a killed process has left is replaced, and nothing else is.
func TestWhatIsThereBeforeASocket(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes")
	}
	path := filepath.Join(t.TempDir(), "proxy.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	listener, err := sidecar.ListenPrivate(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sidecar.ListenPrivate(t.Context(), path); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
}
