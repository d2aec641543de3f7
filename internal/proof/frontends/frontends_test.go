// Package frontends_test runs front ends that people have, with the real axios
// in a real browser, against the real server.
package frontends_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/server"
)

const password = "correct horse"

const accessTTL = time.Hour

// A backend is the server with an API, and the front end's files on the same
// origin. The server's clock stands still until a test moves it, so that no token runs
// out because the machine is busy.
type backend struct {
	*testing.T
	url   string
	ahead atomic.Int64 // of the server's clock, in nanoseconds

	mu     sync.Mutex
	files  map[string]string
	events map[server.EventKind]int
}

func newBackend(t *testing.T, origins ...string) *backend {
	t.Helper()
	b := &backend{T: t, files: map[string]string{}, events: map[server.EventKind]int{}}
	began := time.Now()
	d, err := daemon.Open(t.Context(), daemon.Config{
		Store:          storage.Folder(t.TempDir()),
		Listen:         "localhost:0",
		AccessTTL:      accessTTL,
		Users:          directory.Config{Memory: 64, Iterations: 1},
		AllowedOrigins: origins,
		OnEvent:        b.note,
		Site:           b.site,
		Now:            func() time.Time { return began.Add(time.Duration(b.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
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

// frontEnd serves the page, its script, and the page /login, which counts how
// often the tab has loaded it and is a page of the same front end.
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
		fmt.Fprint(w, `<!doctype html><title>login</title><script src="/app.js"></script>
			<script>sessionStorage.logins = Number(sessionStorage.logins ?? 0) + 1</script>`)
	})
	return mux
}

func (b *backend) serve(bundle string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files["app.js"] = bundle
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

// names asks n times at once who is signed in, and returns how often it was ann.
func (v visit) names(n int) int {
	v.Helper()
	return chrome.Eval[int](v.tab, fmt.Sprintf("app.names(%d).then((all) => all.filter((name) => name === %q).length)", n, "ann"))
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

// expire has the access token run out: the server refuses it from now on.
func (v visit) expire() {
	v.Helper()
	v.ahead.Add(int64(accessTTL + time.Second)) // the token's expiry is rounded up to the second
	if status := v.call(http.MethodGet, "/auth/me", v.token()); status != http.StatusUnauthorized {
		v.Fatalf("the access token has not run out: %d", status)
	}
}

// atLogin waits until the tab has loaded the page /login n times.
func (v visit) atLogin(n int) {
	v.Helper()
	v.tab.Until(fmt.Sprintf(`location.pathname === "/login" && sessionStorage.logins === "%d" && window.app`, n))
}

// signInAgain signs in on the page /login, and finds that the tab, which has
// loaded it n times, stays there: a page that goes in circles would not let it.
func (v visit) signInAgain(n int) {
	v.Helper()
	if got := v.signIn(password); got != "ok" {
		v.Errorf("signing in again: %s", got)
	}
	if answered := v.fire(20); answered != 20 {
		v.Errorf("%d of 20 answered after signing in again", answered)
	}
	if got := chrome.Eval[string](v.tab, "sessionStorage.logins"); got != strconv.Itoa(n) {
		v.Errorf("the page /login was loaded %s times, want %d", got, n)
	}
}

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
			// One for each round, and another for a 401 that arrives when the refresh is over:
			// these front ends then refresh once more, and the session lives on.
			if n := b.eventCount(server.EventRefreshed); n < 3 {
				t.Errorf("%d refreshes, want at least 3", n)
			}
			if n := b.eventCount(server.EventSessionEnded); n != 0 {
				t.Errorf("%d sessions ended, want none", n)
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
			v.atLogin(1)
			if n := chrome.Eval[int](v.tab, "localStorage.length"); n != 0 {
				t.Errorf("%d tokens were left behind", n)
			}
			v.signInAgain(1)
		})
	}
}

// The tutorial takes the 401 of a wrong password for an expiry, asks for a
// refresh without a token, and goes to the login page: once for each password,
// and from there one signs in.
func TestTheTutorialAndAWrongPassword(t *testing.T) {
	b := newBackend(t)
	b.serve(tutorial(t, b.url))
	v := visit{b, chrome.Open(t)}
	v.tab.Go(b.url)
	for attempt := 1; attempt <= 2; attempt++ {
		chrome.Eval[bool](v.tab, `(app.signIn("ann", "wrong"), true)`)
		v.atLogin(attempt)
	}
	refusals := chrome.Eval[[]refusal](v.tab, `JSON.parse(sessionStorage.refusals ?? "[]")`)
	if len(refusals) != 2 {
		t.Fatalf("%d refreshes were refused, want one for each password: %+v", len(refusals), refusals)
	}
	for _, r := range refusals {
		if r.Status != http.StatusBadRequest || r.Error != "invalid_request" || !strings.Contains(r.Description, "refreshToken") {
			t.Errorf("a refresh without a token: %+v, want 400 invalid_request naming refreshToken", r)
		}
	}
	if n := b.eventCount(server.EventSignInFailed); n != 2 {
		t.Errorf("%d failed attempts to sign in, want 2", n)
	}
	v.signInAgain(2)
}

// A refusal is what main.js of the tutorial notes of a refresh.
type refusal struct {
	Status      int    `json:"status"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

// The other front end does not send its sign-in through the interceptors, and so
// sees the refusal itself.
func TestTheQueueAndAWrongPassword(t *testing.T) {
	b := newBackend(t)
	b.serve(queue(t, b.url))
	v := visit{b, chrome.Open(t)}
	v.tab.Go(b.url)
	if got := v.signIn("wrong"); got != "401" {
		t.Errorf("signing in: %s, want 401", got)
	}
	if path := chrome.Eval[string](v.tab, "location.pathname"); path != "/" {
		t.Errorf("the page is at %s", path)
	}
}

// What these requests carry, a JSON body or a token, makes the browser ask the
// server beforehand, and send nothing if the answer does not name the origin.
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
		if n := v.names(20); n != 20 {
			t.Errorf("%d of 20 answered while the token is fresh", n)
		}
		v.expire()
		if n := v.names(20); n != 20 { // the page must be let see the 401, too
			t.Errorf("%d of 20 answered when the token had run out", n)
		}
		if n := b.eventCount(server.EventRefreshed); n == 0 {
			t.Error("no refresh")
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
		if n := b.eventCount(server.EventSignedIn); n != 0 {
			t.Errorf("%d sessions began, want none", n)
		}
		if status := v.call(http.MethodGet, "/healthz", ""); status != http.StatusOK {
			t.Errorf("the server is not well: %d", status)
		}
	})
}
