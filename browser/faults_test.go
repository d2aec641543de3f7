package browser_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

// A laptop whose lid is closed for longer than the refresh token lives: the session has
// ended by policy. A sign-in in another tab is one for this tab, too.
func theOnlyTabSleepsOverTheRefreshLifetime(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.tab.Freeze()
	s.ahead.Add(int64(8 * 24 * time.Hour))
	s.tab.Thaw()
	s.expect(s.tab, `app.setWallClock(8 * 24 * 3600 * 1000)`, "set")
	s.expect(s.tab, `app.fire(20)`, "20 × ended expired")
	s.expect(s.tab, `app.heard("ended").map(({ reason }) => reason).join()`, "expired")
	s.expectTraffic(1)

	other := s.tab.NewTab()
	s.open(other, "")
	s.expect(other, `app.setWallClock(8 * 24 * 3600 * 1000)`, "set")
	s.signIn(other, "ann")
	s.tab.Until(`auth.state.status === "signedIn"`)
	s.expect(s.tab, `app.fire(20)`, "20 × 200")
	s.expectTraffic(1)
}

func aTabSleepsWhileAnotherWorks(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	s.open(s.tab, "ann")
	s.open(other, "")
	s.tab.Freeze()
	for range 3 {
		s.expire()
		s.expect(other, `app.fire(5)`, "5 × 200")
	}
	s.tab.Thaw()
	s.expect(s.tab, `app.fire(20)`, "20 × 200")
	s.expectTraffic(3)
}

func offlineForAnHour(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.tab.SetOffline(true)
	s.ahead.Add(int64(time.Hour + time.Second))
	s.expect(s.tab, `app.setWallClock(3601 * 1000)`, "set")
	s.expect(s.tab, `app.fire(20)`, "20 × temporary")
	s.expect(s.tab, `app.fire(20)`, "20 × temporary")
	s.expect(s.tab, `auth.state.status`, "signedIn")
	s.tab.SetOffline(false)
	s.expect(s.tab, `app.fire(20)`, "20 × 200")
	s.expectTraffic(1)
}

// A wrong password answers 401, like a token that has run out.
func aWrongPasswordRefreshesNothing(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expect(s.tab, `app.signIn("bob", "wrong")`, "invalid_credentials")
	s.expect(s.tab, `auth.fetch("/auth/login", {
		method: "POST", headers: { "Content-Type": "application/json" }, body: '{"username":"bob","password":"wrong"}',
	}).then(({ status }) => status)`, http.StatusUnauthorized)
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
	s.expect(s.tab, `auth.state.username`, "ann")
	s.expectTraffic(0)
}

// A 401 that arrives after the refresh is answered with the next token.
func a401ThatArrivesAfterTheRefresh(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expire()
	late, refreshed := make(chan struct{}), make(chan struct{})
	s.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("late") == "" || r.Context().Err() != nil {
			return false
		}
		select {
		case <-late: // its second attempt
			return false
		default:
		}
		close(late)
		<-refreshed
		return false
	})
	s.expect(s.tab, `(window.late = auth.fetch("/api/hello?late=1"), "begun")`, "begun")
	<-late
	s.expect(s.tab, `app.fire(20)`, "20 × 200")
	close(refreshed)
	s.expect(s.tab, `late.then(({ status }) => status)`, http.StatusOK)
	s.expectTraffic(1)
}

// bodies has the API answer with the length and the hash of what it gets, once it has
// let the request in.
func (s *stage) bodies() {
	guarded := s.RequireSession(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var name string
		body := io.Reader(r.Body)
		if file, header, err := r.FormFile("file"); err == nil {
			body, name = file, header.Filename
		}
		hash := sha256.New()
		n, _ := io.Copy(hash, body)
		fmt.Fprintf(w, "%s %d %x", name, n, hash.Sum(nil)[:4])
	}))
	s.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != "/api/body" {
			return false
		}
		guarded.ServeHTTP(w, r)
		return true
	})
}

// What can be sent again is sent again whole. A stream cannot: the error says so, and the
// token has been replaced by then, so the app's own second attempt succeeds.
func bodiesAreSentAgainWholeOrNotAtAll(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.bodies()
	want := fmt.Sprintf("%d %x", 1<<20, sha256of(strings.Repeat("x", 1<<20)))
	for kind, name := range map[string]string{"form": "a.txt ", "blob": " ", "request": " "} {
		s.expire()
		s.expect(s.tab, fmt.Sprintf(`app.post(%q)`, kind), name+want)
	}
	s.expectTraffic(3)

	s.expire()
	s.expect(s.tab, `app.post("stream")`, "body_not_replayable")
	s.expect(s.tab, `app.post("stream")`, " "+want)
	s.expectTraffic(4)
}

func sha256of(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:4]
}

// A service worker that passes everything on is between the page and the server.
func aServiceWorkerBetween(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.bodies()
	s.expect(s.tab, `navigator.serviceWorker.register("/worker.js").then(() => "registered")`, "registered")
	s.tab.Until(`navigator.serviceWorker.controller`)
	other := s.tab.NewTab()
	s.open(other, "")
	other.Until(`navigator.serviceWorker.controller`)
	s.expire()
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.begin(50)`, "begun")
	}
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.outcomes()`, "50 × 200")
	}
	s.expectTraffic(1)
	s.expire()
	s.expect(s.tab, `app.post("form")`, fmt.Sprintf("a.txt %d %x", 1<<20, sha256of(strings.Repeat("x", 1<<20))))
	s.expectTraffic(2)
}

// After a deployment, tabs with the old version stay open. A version that keeps its record
// in another form marks it as its own, and the old one leaves it alone until the tab is
// reloaded.
func anOlderVersionInAnotherTab(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	next := s.tab.NewTab()
	next.Go(s.url + "/next")
	next.Until(`window.auth && auth.ready.then(() => true)`)
	s.expect(next, `auth.state.username`, "ann")
	s.expire()
	s.expect(next, `app.fire(5)`, "5 × 200")
	s.expect(next, `app.readRecord().then(({ format }) => format)`, 2)
	s.expect(next, `JSON.parse(localStorage.tandem).format`, 2)

	s.expect(s.tab, `app.fire(5)`, "5 × temporary")
	s.expect(s.tab, `auth.problems.map(({ code }) => code).join()`, "newer_version")
	s.tab.Go(s.url + "/next")
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
	s.expectTraffic(1)
}

// nextVersion returns the SDK as a version would be that keeps its record in another form.
func nextVersion(t *testing.T) string {
	t.Helper()
	const this, next = "export const format = 1;", "export const format = 2;"
	return build(t, api.BuildOptions{
		EntryPoints: []string{"src/index.ts"},
		Format:      api.FormatIIFE,
		GlobalName:  "tandem",
		Plugins: []api.Plugin{{Name: "next", Setup: func(b api.PluginBuild) {
			b.OnLoad(api.OnLoadOptions{Filter: `/store\.ts$`}, func(args api.OnLoadArgs) (api.OnLoadResult, error) {
				source, err := os.ReadFile(args.Path)
				text := strings.Replace(string(source), this, next, 1)
				if err == nil && text == string(source) {
					err = fmt.Errorf("%s does not say %s", args.Path, this)
				}
				return api.OnLoadResult{Contents: &text, Loader: api.LoaderTS}, err
			})
		}}},
	})
}

// A thief presents the token of a tab, and uses the successor. When the tab refreshes
// later than an answer can be on its way, the server notices, and both are out.
func aThiefIsNoticed(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expect(s.tab, `app.steal()`, "stolen")
	s.expect(s.tab, `app.thieve()`, "twice")
	s.expire()
	s.expect(s.tab, `app.fire(20)`, "20 × ended reuse_detected")
	s.expect(s.tab, `app.thieve()`, "refused")
	if n := s.Events(server.EventReuseDetected); n == 0 {
		t.Error("the server has not noticed the thief")
	}
	if n := s.Served(testserver.Refresh); n < 3 {
		t.Errorf("%d refreshes: the thief's and the tab's are missing", n)
	}
}
