package frontends_test

import (
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// useCookies signs in, refreshes twice and signs out in cookie mode, and returns the
// status codes. The refreshes name no session, as after a reload; the last one comes after
// the sign-out.
const useCookies = `(async () => {
	const post = async (path, body) => (await fetch(%q + path, {
		method: "POST", credentials: "include", body: JSON.stringify(body),
		headers: {"Content-Type": "application/json", "Tandem-Cookie": "1"},
	})).status
	const codes = [await post("/auth/login", {username: "ann", password: "nna"})]
	for (let i = 0; i < 2; i++) codes.push(await post("/auth/refresh-token", {}))
	codes.push(await post("/auth/logout", {}), await post("/auth/refresh-token", {}))
	return codes.join(" ") + (document.cookie && " and script can read " + document.cookie)
})()`

const (
	kept    = "200 200 200 204 401"
	blocked = "200 401 401 401 401"
)

// The table of docs/sign-in.md: on which pages a browser keeps and sends the cookies of
// cookie mode. Hosts of .test are on other sites than localhost, and not trustworthy over
// http.
func TestWhereTheBrowserSendsTheCookies(t *testing.T) {
	tab := chrome.Open(t, chromedp.Flag("host-resolver-rules", "MAP *.test 127.0.0.1"), chromedp.Flag("ignore-certificate-errors", true))
	for _, c := range []struct {
		name         string
		page, server string // scheme and host; no page is the server's own
		strict, none string // what happens with SameSite=Strict, and with None
	}{
		{"localhost", "", "http://localhost", kept, kept},
		{"127.0.0.1", "", "http://127.0.0.1", kept, kept},
		{"two ports of localhost", "http://localhost", "http://localhost", kept, kept},
		{"https", "", "https://auth.example.test", kept, kept},
		{"two https subdomains", "https://app.example.test", "https://auth.example.test", kept, kept},
		{"two https sites", "https://app.test", "https://auth.example.test", blocked, kept},
		{"plain http", "", "http://auth.example.test", kept, ""},
		{"two plain http subdomains", "http://app.example.test", "http://auth.example.test", kept, ""},
		{"a page on http, its server on https", "http://app.example.test", "https://auth.example.test", blocked, kept},
	} {
		t.Run(c.name, func(t *testing.T) {
			for mode, want := range map[http.SameSite]string{http.SameSiteStrictMode: c.strict, http.SameSiteNoneMode: c.none} {
				if want == "" { // the server refuses the setting
					continue
				}
				auth, page := listen(t, c.server), ""
				if c.page != "" {
					other := listen(t, c.page)
					other.serve(blank)
					page = other.url
				}
				auth.serve(beside(cookieServer(t, auth.url, page, mode)))
				tab.Go(cmp.Or(page, auth.url))
				if got := chrome.Eval[string](tab, fmt.Sprintf(useCookies, auth.url)); got != want {
					t.Errorf("SameSite %v: %s, want %s", mode, got, want)
				}
			}
		})
	}
}

// The dev server of a front end forwards /prod-api to the server without that prefix, and
// changes Host. The cookies belong to the address that the page sees.
func TestCookiesBehindAProxyThatRewritesPaths(t *testing.T) {
	tab := chrome.Open(t)
	auth, dev := listen(t, "http://localhost"), listen(t, "http://localhost")
	auth.serve(cookieServer(t, auth.url, "", http.SameSiteStrictMode))
	target, err := url.Parse(auth.url)
	if err != nil {
		t.Fatal(err)
	}
	proxy := http.StripPrefix("/prod-api", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }})
	dev.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/prod-api/") {
			proxy.ServeHTTP(w, r)
			return
		}
		blank(w, r)
	}))
	tab.Go(dev.url)
	if got := chrome.Eval[string](tab, fmt.Sprintf(useCookies, dev.url+"/prod-api")); got != kept {
		t.Errorf("%s, want %s", got, kept)
	}
}

func cookieServer(t *testing.T, issuer, page string, mode http.SameSite) http.Handler {
	return testserver.New(t, func(c *server.Config) {
		c.Issuer, c.CookieSameSite = issuer, mode
		if page != "" {
			c.AllowedOrigins = []string{page}
		}
	}).Server
}

// An origin is a scheme, host and port that a test listens at.
type origin struct {
	t   *testing.T
	url string
	srv *httptest.Server
}

func listen(t *testing.T, schemeAndHost string) *origin {
	t.Helper()
	srv := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Close)
	return &origin{t: t, url: schemeAndHost + ":" + port, srv: srv}
}

func (o *origin) serve(handler http.Handler) {
	o.srv.Config.Handler = handler
	if strings.HasPrefix(o.url, "https:") {
		o.srv.StartTLS()
		return
	}
	o.srv.Start()
}

// blank is a page without anything on it.
var blank http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html")
	_, _ = io.WriteString(w, "<!doctype html><title>page</title>")
}

// beside serves a blank page beside the endpoints of a server.
func beside(auth http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains([]string{"/", "/favicon.ico"}, r.URL.Path) {
			blank(w, r)
			return
		}
		auth.ServeHTTP(w, r)
	})
}
