// Package frontends_test runs front ends that people have, with the real axios
// in a real browser, against the real server.
package frontends_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/chrome"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/need"
	"github.com/tandem-auth/tandem/server"
)

const password = "correct horse"

// A backend is the server with an API, and the front end's files on the same
// origin.
type backend struct {
	*testing.T
	url string

	mu     sync.Mutex
	files  map[string]string
	events map[server.EventKind]int
	logins int // visits to the page /login
}

func newBackend(t *testing.T, origins ...string) *backend {
	t.Helper()
	b := &backend{T: t, files: map[string]string{}, events: map[server.EventKind]int{}}
	d, err := daemon.Open(t.Context(), daemon.Config{
		DataDir:        t.TempDir(),
		Listen:         "localhost:0",
		AccessTTL:      2 * time.Second,
		Users:          directory.Config{Memory: 64, Iterations: 1},
		AllowedOrigins: origins,
		OnEvent:        b.note,
		Site:           b.site,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	b.url = d.URL()
	return b
}

func (b *backend) note(e server.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[e.Kind]++
}

func (b *backend) eventCount(kind server.EventKind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[kind]
}

func (b *backend) site(s *server.Server) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /api/hello", s.RequireSession(http.HandlerFunc(hello)))
	mux.Handle("/", b.frontEnd())
	return mux
}

func hello(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]int{"n": n})
}

// frontEnd serves the page, its script, and the page /login.
func (b *backend) frontEnd() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `<!doctype html><title>app</title><script src="/app.js"></script>`)
	})
	mux.HandleFunc("GET /app.js", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprint(w, b.files["app.js"])
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, _ *http.Request) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.logins++
		fmt.Fprint(w, `<!doctype html><title>login</title>`)
	})
	return mux
}

func (b *backend) serve(bundle string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files["app.js"] = bundle
}

// tutorialAddress is the line of the tutorial that its reader is meant to change,
// and the only one that the test does.
const tutorialAddress = `"https://awen.awen.com"`

// tutorial bundles the tutorial's own code.
func tutorial(t *testing.T, url string) string {
	t.Helper()
	source, err := filepath.Abs("testdata/tutorial/request/index.js")
	if err != nil {
		t.Fatal(err)
	}
	return bundle(t, "testdata/tutorial", api.Plugin{Name: "address", Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `request/index\.js$`}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := os.ReadFile(source)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			if n := strings.Count(string(text), tutorialAddress); n != 1 {
				return api.OnLoadResult{}, fmt.Errorf("the address is in %s %d times, want once", source, n)
			}
			changed := strings.Replace(string(text), tutorialAddress, strconv.Quote(url), 1)
			return api.OnLoadResult{Contents: &changed}, nil
		})
	}})
}

// queue bundles the front end that keeps its waiting requests in a list.
func queue(t *testing.T, url string) string {
	t.Helper()
	return bundle(t, "testdata/queue", api.Plugin{Name: "address", Setup: func(build api.PluginBuild) {
		build.InitialOptions.Define = map[string]string{"API_URL": strconv.Quote(url)}
	}})
}

// bundle makes one script of a folder's main.js; "@" stands for the folder.
func bundle(t *testing.T, dir string, plugin api.Plugin) string {
	t.Helper()
	if _, err := os.Stat("node_modules/axios"); err != nil {
		need.Missing(t, "axios")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(abs, "main.js")},
		Bundle:      true,
		Format:      api.FormatIIFE,
		Platform:    api.PlatformBrowser,
		Alias:       map[string]string{"@": abs},
		Plugins:     []api.Plugin{plugin},
	})
	if len(result.Errors) > 0 {
		t.Fatalf("bundle %s: %+v", dir, result.Errors)
	}
	return string(result.OutputFiles[0].Contents)
}

// A visit is a front end in a tab.
type visit struct {
	*backend
	tab *chrome.Tab
}

func (v visit) signIn(password string) string {
	v.Helper()
	return chrome.Eval[string](v.tab, fmt.Sprintf("app.signIn(%q, %q)", "ann", password))
}

func (v visit) fire(n int) int {
	v.Helper()
	return chrome.Eval[int](v.tab, fmt.Sprintf("app.fire(%d)", n))
}

func (v visit) token() string {
	v.Helper()
	return chrome.Eval[string](v.tab, `localStorage.getItem("access_token")`)
}

// call makes a request with an access token, past the front end.
func (v visit) call(method, path, token string) int {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), method, v.url+path, http.NoBody)
	if err != nil {
		v.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		v.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// expire waits until the server refuses the access token.
func (v visit) expire() {
	v.Helper()
	token := v.token()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for v.call(http.MethodGet, "/auth/me", token) != http.StatusUnauthorized {
		<-tick.C
	}
}

func (v visit) atLogin() {
	v.Helper()
	v.tab.Until(`location.pathname === "/login" && document.title === "login"`)
}

var frontEnds = map[string]func(t *testing.T, url string) string{"tutorial": tutorial, "queue": queue}

func TestNobodyNoticesAnExpiry(t *testing.T) {
	for name, build := range frontEnds {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			b.serve(build(t, b.url))
			v := visit{b, chrome.Open(t)}
			v.tab.Go(b.url)
			if got := v.signIn(password); got != "ok" {
				t.Fatalf("signing in: %s", got)
			}
			if n := v.fire(20); n != 20 {
				t.Errorf("%d of 20 answered while the token is fresh", n)
			}
			for round := 1; round <= 3; round++ {
				v.expire()
				if n := v.fire(20); n != 20 {
					t.Errorf("round %d: %d of 20 answered when the token had run out", round, n)
				}
			}
			refreshes := b.eventCount(server.EventRefreshed) + b.eventCount(server.EventRefreshRetried)
			if refreshes < 3 {
				t.Errorf("%d refreshes, want at least 3: the tokens cannot have run out", refreshes)
			}
			if path := chrome.Eval[string](v.tab, "location.pathname"); path != "/" {
				t.Errorf("the page is at %s", path)
			}
			if errs := v.tab.Errors(); len(errs) > 0 {
				t.Errorf("the page has errors: %q", errs)
			}
		})
	}
}

func TestTheEndLeadsToTheLoginPage(t *testing.T) {
	for name, build := range frontEnds {
		t.Run(name, func(t *testing.T) {
			b := newBackend(t)
			b.serve(build(t, b.url))
			v := visit{b, chrome.Open(t)}
			v.tab.Go(b.url)
			if got := v.signIn(password); got != "ok" {
				t.Fatalf("signing in: %s", got)
			}
			if status := v.call(http.MethodDelete, "/auth/sessions", v.token()); status != http.StatusNoContent {
				t.Fatalf("ending the session: %d", status)
			}
			chrome.Eval[bool](v.tab, "(app.fire(20), true)")
			v.atLogin()
			if n := chrome.Eval[int](v.tab, "localStorage.length"); n != 0 {
				t.Errorf("%d tokens were left behind", n)
			}
		})
	}
}

// The tutorial takes the 401 of a wrong password for an expiry, asks for a
// refresh without a token, and goes to the login page. It goes there once.
func TestAWrongPassword(t *testing.T) {
	b := newBackend(t)
	b.serve(tutorial(t, b.url))
	v := visit{b, chrome.Open(t)}
	v.tab.Go(b.url)
	chrome.Eval[bool](v.tab, `(app.signIn("ann", "wrong"), true)`)
	v.atLogin()
	b.mu.Lock()
	visits := b.logins
	b.mu.Unlock()
	if visits != 1 {
		t.Errorf("%d visits to the login page, want 1", visits)
	}

	b.serve(queue(t, b.url))
	v.tab.Go(b.url)
	if got := v.signIn("wrong"); got != "401" {
		t.Errorf("the other front end: %s, want 401", got)
	}
}

func TestAFrontEndOfAnotherOrigin(t *testing.T) {
	elsewhere := &backend{T: t, files: map[string]string{}}
	pages := httptest.NewServer(elsewhere.frontEnd())
	defer pages.Close()

	t.Run("that the operator has named", func(t *testing.T) {
		b := newBackend(t, pages.URL)
		elsewhere.serve(queue(t, b.url))
		v := visit{b, chrome.Open(t)}
		v.tab.Go(pages.URL)
		if got := v.signIn(password); got != "ok" {
			t.Fatalf("signing in: %s", got)
		}
		if status := chrome.Eval[int](v.tab, fmt.Sprintf(`fetch(%q, { headers: {
			Authorization: "Bearer " + localStorage.getItem("access_token") } }).then((r) => r.status)`, b.url+"/auth/me")); status != http.StatusOK {
			t.Errorf("status %d", status)
		}
	})
	t.Run("that nobody has named", func(t *testing.T) {
		b := newBackend(t, "https://app.example.com")
		elsewhere.serve(queue(t, b.url))
		v := visit{b, chrome.Open(t)}
		v.tab.Go(pages.URL)
		if got := v.signIn(password); got != "undefined" { // the browser hides the answer
			t.Errorf("signing in: %s", got)
		}
	})
}
