package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/server"
)

const (
	guide     = "../docs/browser.md"
	migration = "../docs/browser-migrate.md"
)

// An authServer is the server of the guide, with the user demo. Its clock stands still
// until a test moves it.
type authServer struct {
	url       string
	ahead     atomic.Int64 // of the server's clock, in nanoseconds
	refreshes atomic.Int64
}

const accessTTL = time.Hour

func startAuthServer(t *testing.T, origins ...string) *authServer {
	t.Helper()
	s := &authServer{}
	began := time.Now()
	d, err := daemon.Open(t.Context(), daemon.Config{
		Store:          storage.Folder(t.TempDir()),
		Listen:         "localhost:0",
		AccessTTL:      accessTTL,
		Users:          directory.Config{Memory: 64, Iterations: 1, MinPassword: 4, AllowCommon: true},
		AllowedOrigins: origins,
		Now:            func() time.Time { return began.Add(time.Duration(s.ahead.Load())) },
		OnEvent: func(e server.Event) {
			if e.Kind == server.EventRefreshed {
				s.refreshes.Add(1)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Directory().Add(t.Context(), "demo", "demo"); err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
	s.url = d.URL()
	return s
}

// A devServer is in the place of Vite: it serves the page, bundles its script, and
// forwards /auth/ if it has a target.
type devServer struct {
	url    string
	page   string
	policy string
	script []byte
	target http.Handler
}

func startDevServer(t *testing.T) *devServer {
	t.Helper()
	s := &devServer{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", s.policy)
		fmt.Fprint(w, s.page)
	})
	mux.HandleFunc("GET /src/main.ts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write(s.script)
	})
	mux.HandleFunc("/auth/", func(w http.ResponseWriter, r *http.Request) {
		if s.target == nil {
			http.NotFound(w, r)
			return
		}
		s.target.ServeHTTP(w, r)
	})
	listener := httptest.NewServer(mux)
	t.Cleanup(listener.Close)
	s.url = strings.Replace(listener.URL, "127.0.0.1", "localhost", 1)
	return s
}

// forward makes a dev server forward to a server as Vite does with target alone: the
// header Host stays.
func (s *devServer) forward(t *testing.T, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	s.target = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		host := r.In.Host
		r.SetURL(u)
		r.Out.Host = host
	}}
}

// serve takes over the files of the guide, with the given version of src/auth.ts. The
// code before runs before that of the guide.
func (s *devServer) serve(t *testing.T, auth, server, before string) {
	t.Helper()
	folder := t.TempDir()
	for _, snippet := range snippets(t, guide) {
		switch snippet.file {
		case "index.html":
			s.page = snippet.code
		case "src/main.ts":
			write(t, filepath.Join(folder, snippet.file), before+snippet.code)
		}
		if policy, ok := strings.CutPrefix(snippet.code, "Content-Security-Policy: "); ok {
			s.policy = strings.Replace(strings.TrimSpace(policy), "https://auth.example.com https://api.example.com", server, 1)
		}
	}
	if s.page == "" || !strings.Contains(s.policy, server) {
		t.Fatalf("the guide has the page %q and the policy %q", s.page, s.policy)
	}
	write(t, filepath.Join(folder, "src/auth.ts"), auth)
	write(t, filepath.Join(folder, "src/take-over.ts"), find(t, migration, "src/take-over.ts"))
	sdk, err := filepath.Abs("src/index.ts")
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(folder, "src/main.ts")},
		Bundle:      true,
		Format:      api.FormatESModule,
		Alias:       map[string]string{"@tandem-auth/browser": sdk},
	})
	if len(result.Errors) > 0 {
		t.Fatalf("bundle the guide's app: %+v", result.Errors)
	}
	s.script = result.OutputFiles[0].Contents
}

// find returns the code of a file in a page.
func find(t *testing.T, page, file string) string {
	t.Helper()
	for _, s := range snippets(t, page) {
		if s.file == file {
			return s.code
		}
	}
	t.Fatalf("%s does not have %s", page, file)
	return ""
}

// The guide's app does what the guide says, in its three versions and in cookie mode
// between two ports. Users stay signed in when the app changes to cookies, or to the SDK.
func TestTheFourMinutes(t *testing.T) {
	var versions []string // of src/auth.ts
	for _, s := range snippets(t, guide) {
		if s.file == "src/auth.ts" {
			versions = append(versions, s.code)
		}
	}
	if len(versions) != 3 {
		t.Fatalf("the guide has %d versions of src/auth.ts, want one origin, two, and cookies", len(versions))
	}
	const address = `"http://localhost:8080"`
	pages := startDevServer(t)
	server := startAuthServer(t, pages.url)
	pages.forward(t, server.url)
	there := strings.Replace(versions[1], address, `"`+server.url+`"`, 1)
	thereByCookie := strings.Replace(there, "url: api", `url: api, mode: "cookie"`, 1)
	if there == versions[1] || thereByCookie == there {
		t.Fatalf("the guide does not name %s as url:\n%s", address, versions[1])
	}
	tab := chrome.Open(t)
	for _, c := range []struct {
		name, auth string
		atSignIn   int64 // refreshes
	}{
		{"one origin", versions[0], 0},
		{"the server at another address", there, 0},
		{"cookies", versions[2], 0},
		{"cookies of a server at another address", thereByCookie, 1},
	} {
		t.Log(c.name)
		pages.serve(t, c.auth, server.url, "")
		fourMinutes(t, tab, pages.url, server, c.atSignIn)
	}

	for _, c := range []struct{ name, auth string }{{"cookies", versions[2]}, {"bearer", versions[0]}} {
		t.Log("the app changes from the tutorial's code to the SDK, with " + c.name)
		pages.serve(t, c.auth, server.url, `import { takeOver } from "./take-over"; await takeOver();`)
		chrome.Eval[bool](tab, `fetch("/auth/login", {
			method: "POST", headers: { "Content-Type": "application/json" }, body: '{"username":"demo","password":"demo"}',
		}).then((response) => response.json()).then(({ accessToken, refreshToken }) => {
			localStorage.setItem("access_token", accessToken);
			localStorage.setItem("refresh_token", refreshToken);
			localStorage.setItem("username", "demo");
			return true;
		})`)
		for range 2 { // the second time there is nothing to take over
			tab.Go(pages.url)
			ask(tab)
		}
		tab.Until(`!("access_token" in localStorage || "refresh_token" in localStorage)`)
		if c.name == "cookies" {
			tab.Until(stored + `.then((text) => text.includes('"demo"') && !` + aToken + `.test(text))`)
			tab.Click("#leave")
			tab.Until(`!document.querySelector("form").hidden`)
		}
	}

	t.Log("the app changes from bearer to cookies")
	pages.serve(t, versions[0], server.url, "")
	tab.Go(pages.url)
	tab.Until(stored + `.then((text) => ` + aToken + `.test(text))`)
	pages.serve(t, versions[2], server.url, "")
	tab.Go(pages.url)
	server.ahead.Add(int64(accessTTL + time.Second))
	ask(tab)
	tab.Until(stored + `.then((text) => text.includes('"demo"') && !` + aToken + `.test(text))`)
	tab.Go(pages.url)
	ask(tab)
}

// stored is what the SDK has stored, as JSON.
const stored = `new Promise((resolve) => {
	indexedDB.open("tandem").onsuccess = ({ target }) => {
		target.result.transaction("kept").objectStore("kept").get(0).onsuccess = (event) => {
			target.result.close();
			resolve(JSON.stringify(event.target.result) + JSON.stringify(localStorage));
		};
	};
})`

// aToken matches a token in it, also in the JSON of JSON that localStorage has.
const aToken = `/Token\\*":\\*"[^"\\]/`

func signIn(tab *chrome.Tab) {
	tab.Type("[name=password]", "demo")
	tab.Click("form button")
	tab.Until(`document.querySelector("form").hidden`)
}

func ask(tab *chrome.Tab) {
	chrome.Eval[bool](tab, `(document.querySelector("p").textContent = "", true)`)
	tab.Click("#ask")
	says(tab, "You are demo")
}

func says(tab *chrome.Tab, text string) {
	tab.Until(fmt.Sprintf(`document.querySelector("p").textContent === %q`, text))
}

func fourMinutes(t *testing.T, tab *chrome.Tab, page string, server *authServer, atSignIn int64) {
	t.Helper()
	begun := server.refreshes.Load()
	wantRefreshes := func(n int64) {
		t.Helper()
		if got := server.refreshes.Load() - begun; got != n {
			t.Errorf("%d refreshes, want %d", got, n)
		}
	}
	tab.Go(page)
	tab.Type("[name=password]", "wrong")
	tab.Click("form button")
	says(tab, "Wrong name or password.")
	wantRefreshes(0)

	signIn(tab)
	for server.refreshes.Load()-begun < atSignIn {
		tab.Until("true")
	}
	ask(tab)
	wantRefreshes(atSignIn)

	server.ahead.Add(int64(accessTTL + time.Second))
	ask(tab)
	wantRefreshes(atSignIn + 1)

	second := tab.NewTab()
	second.Go(page)
	ask(second)
	wantRefreshes(atSignIn + 1)
	if kept := chrome.Eval[string](second, "document.cookie"); kept != "" {
		t.Errorf("a script can read the cookies %s", kept)
	}

	second.Click("#leave")
	second.Until(`!document.querySelector("form").hidden`)
	tab.Until(`!document.querySelector("form").hidden`)
	says(tab, "Please sign in again: signed_out")
	for _, tab := range []*chrome.Tab{tab, second} {
		if errs := tab.Errors(); len(errs) > 0 {
			t.Errorf("the page has errors: %q", errs)
		}
	}
	second.Go("about:blank")
}
