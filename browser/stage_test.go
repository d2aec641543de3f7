package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/browser"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// A stage is a server with an API, and on the same origin a page that uses the script of
// the SDK. The server's clock stands still until a test moves it, so that no token runs
// out because the machine is busy.
type stage struct {
	*testing.T
	*testserver.Server
	url string
	// otherSite is another address of the page, from which url is of another site.
	otherSite string
	tab       *chrome.Tab
	ahead     atomic.Int64 // of the server's clock, in nanoseconds
}

func newStage(t *testing.T, b *chrome.Tab) *stage {
	t.Helper()
	s := &stage{T: t, tab: b.NewTabFor(t)}
	served := &httptest.Server{Listener: listener(t), Config: &http.Server{}} //nolint:gosec // a test's own server
	s.url = "http://" + served.Listener.Addr().String()
	s.otherSite = strings.Replace(s.url, "127.0.0.1", "localhost", 1)
	began := time.Now()
	s.Server = testserver.New(t, func(c *server.Config) {
		c.AccessTTL = accessTTL
		c.AllowedOrigins = []string{s.otherSite}
		c.Now = func() time.Time { return began.Add(time.Duration(s.ahead.Load())) }
	})
	app := build(t, api.BuildOptions{EntryPoints: []string{"test/stories/app.ts"}, Format: api.FormatIIFE})
	mux := http.NewServeMux()
	mux.Handle("/", s.Server)
	mux.HandleFunc("GET /options", func(http.ResponseWriter, *http.Request) {})
	for path, sdk := range map[string]string{"/{$}": "/tandem.js", "/next": "/next.js"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `<!doctype html><title>app</title><link rel="icon" href="data:,">
				<script>window.prepare = new Function(sessionStorage.prepare ?? ""); prepare()</script>
				<script src="%s"></script><script src="/app.js"></script>`, sdk)
		})
	}
	for name, script := range map[string]func() string{
		"/tandem.js": func() string { return string(browser.Script) },
		"/next.js":   func() string { return nextVersion(t) },
		"/app.js":    func() string { return app },
		"/worker.js": func() string { return passOn },
	} {
		mux.HandleFunc("GET "+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/javascript")
			fmt.Fprint(w, script())
		})
	}
	served.Config.Handler = mux
	served.Start()
	t.Cleanup(func() {
		served.CloseClientConnections()
		served.Close()
	})
	return s
}

// passOn is a service worker that sends every request as it is.
const passOn = `
	addEventListener("install", () => skipWaiting());
	addEventListener("activate", (event) => event.waitUntil(clients.claim()));
	addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
`

// expire has the access tokens run out: the server refuses them from now on.
func (s *stage) expire() { s.ahead.Add(int64(accessTTL + time.Second)) }

// open opens the page in a tab and signs in, if a user is named.
func (s *stage) open(tab *chrome.Tab, user string) {
	s.Helper()
	tab.Go(s.url)
	tab.Until(`window.auth && auth.ready.then(() => true)`)
	if user != "" {
		s.signIn(tab, user)
	}
}

func (s *stage) signIn(tab *chrome.Tab, user string) {
	s.Helper()
	password := map[string]string{"ann": "nna", "bob": "bbo"}[user]
	s.expect(tab, fmt.Sprintf(`app.signIn(%q, %q)`, user, password), "ok")
}

// expect fails unless an expression, or what it promises, has a value.
func (s *stage) expect(tab *chrome.Tab, expression string, want any) {
	s.Helper()
	if got := fmt.Sprint(chrome.Eval[any](tab, expression)); got != fmt.Sprint(want) {
		s.Errorf("%s is %s, want %v", expression, got, want)
	}
}

// expectTraffic fails unless so many refreshes were made, and nobody looked like a thief.
func (s *stage) expectTraffic(refreshes int) {
	s.Helper()
	if n := s.Served(testserver.Refresh); n != refreshes {
		s.Errorf("%d refreshes, want %d", n, refreshes)
	}
	s.expectNoTheft()
}

func (s *stage) expectNoTheft() {
	s.Helper()
	for _, kind := range []server.EventKind{server.EventReuseDetected, server.EventRefreshStale} {
		if n := s.Events(kind); n != 0 {
			s.Errorf("%d times %v", n, kind)
		}
	}
}

// once has the server answer the next refresh with do.
func (s *stage) once(do func(w http.ResponseWriter, r *http.Request)) {
	var done atomic.Bool
	s.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != testserver.Refresh || done.Swap(true) {
			return false
		}
		do(w, r)
		return true
	})
}

// hold holds the reply to the next refresh until release is called.
func (s *stage) hold() (came <-chan struct{}, release func()) {
	arrived, released := make(chan struct{}), make(chan struct{})
	s.once(func(w http.ResponseWriter, r *http.Request) {
		reply := httptest.NewRecorder()
		s.Server.Server.ServeHTTP(reply, r)
		close(arrived)
		select {
		case <-released:
		case <-r.Context().Done():
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(reply.Code)
		_, _ = w.Write(reply.Body.Bytes())
	})
	return arrived, func() { close(released) }
}

// options has the pages of an origin open the SDK with other options.
func (s *stage) options(tab *chrome.Tab, url, options string) {
	s.Helper()
	tab.Go(url + "/options")
	chrome.Eval[any](tab, fmt.Sprintf(`(sessionStorage.options = %q)`, options))
}
