package browser_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/browser/internal/backend"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
	"github.com/tandem-auth/tandem/server"
)

// Each example is an app that Vite builds, and that a user drives in a browser.
func TestTheExamplesInChromium(t *testing.T) {
	needPackages(t)
	browser := chrome.Open(t)
	for name, drive := range map[string]func(x *example){
		"modal": modal, "envelope": envelope, "codes": codes, "migrate": migrate,
	} {
		t.Run(name, func(t *testing.T) {
			x := &example{T: t, Backend: backend.New(t), tab: browser.NewTabFor(t)}
			x.ServeFiles(x.build(name))
			x.tab.Go(x.URL)
			drive(x)
			if errs := x.tab.Errors(); len(errs) > 0 {
				t.Errorf("the page has errors: %q", errs)
			}
		})
	}
}

type example struct {
	*testing.T
	*backend.Backend
	tab *chrome.Tab
}

// build returns the folder of what Vite makes of an example.
func (x *example) build(name string) string {
	x.Helper()
	folder := appFolder(x.T)
	if err := os.CopyFS(folder, os.DirFS("examples/"+name)); err != nil {
		x.Fatal(err)
	}
	if text, err := vite(x.T, folder, "build").CombinedOutput(); err != nil {
		x.Fatalf("%v\n%s", err, text)
	}
	return filepath.Join(folder, "dist")
}

// signIn fills in the form in an element.
func (x *example) signIn(where, user, password string) {
	x.Helper()
	x.tab.Type(where+" [name=username]", user)
	x.tab.Type(where+" [name=password]", password)
	x.tab.Click(where + " form button")
}

func (x *example) until(selector, text string) {
	x.Helper()
	x.tab.Until(fmt.Sprintf(`document.querySelector(%q)?.textContent === %q`, selector, text))
}

func (x *example) expectRefreshes(want int) {
	x.Helper()
	if got := x.Count(server.EventRefreshed); got != want {
		x.Errorf("%d refreshes, want %d", got, want)
	}
}

// endElsewhere ends the session at the server, as from another device.
func (x *example) endElsewhere() {
	x.Helper()
	status := chrome.Eval[int](x.tab, `fetch("/auth/sessions", { method: "DELETE", headers: {
		Authorization: "Bearer " + JSON.parse(localStorage.tandem).pair.accessToken } }).then((r) => r.status)`)
	if status != http.StatusNoContent {
		x.Fatalf("ending the sessions is answered with %d", status)
	}
}

// The session ends while the user writes. A dialog asks to sign in, the draft stays, and
// the requests that waited go through.
func modal(x *example) {
	x.signIn("#app", backend.Ann, backend.Password)
	x.until("#who", "ann")
	x.tab.Type("textarea", "Dear Bob")
	x.Expire()
	x.tab.Click("#save")
	x.until("#saved", "Dear Bob, Dear Bob, Dear Bob")
	x.expectRefreshes(1)

	x.tab.Type("textarea", "Dear Carol")
	x.endElsewhere()
	x.tab.Click("#save")
	x.tab.Until(`document.querySelector("dialog").open`)
	x.signIn("dialog", backend.Ann, "wrong")
	x.until("dialog [role=alert]", "Wrong name or password.")
	x.signIn("dialog", backend.Ann, backend.Password)
	x.until("#saved", "Dear Carol, Dear Carol, Dear Carol")
	x.expectRefreshes(1)
}

// The answers are envelopes with status 200. The encryption, the loading bar and the
// tenant's header see each request once.
func envelope(x *example) {
	x.signIn("#app", backend.Ann, "wrong")
	x.until("#message", "Wrong name or password.")
	x.signIn("#app", backend.Ann, backend.Password)
	x.until("#who", "ann")
	x.Expire()
	x.tab.Click("#send")
	x.until("#message", "1,2,3 of tenant 1, begun 3, loading 0")
	x.expectRefreshes(1)

	x.endElsewhere()
	x.tab.Click("#send")
	x.until("#message", "Please sign in again.")
	x.tab.Until(`document.querySelector("form")`)
}

// The codes are strings from the environment. A caller who gives up leaves the refresh to
// the other one.
func codes(x *example) {
	x.signIn("#app", backend.Ann, "wrong")
	x.until("#message", "invalid_credentials")
	x.signIn("#app", backend.Ann, backend.Password)
	x.tab.Until(`document.querySelector("#ask")`)
	x.Expire()
	chrome.Eval[bool](x.tab, `(document.querySelector("#ask").click(), new Promise((shown) => {
		const look = () => document.querySelector("#panel") ? (document.querySelector("#close").click(), shown(true)) : setTimeout(look);
		look();
	}))`)
	x.until("#message", "You are ann")
	x.expectRefreshes(1)

	x.endElsewhere()
	x.tab.Click("#ask")
	x.until("form #message", "signed_out")
}

// A user who has signed in with the old code stays signed in, whatever the old code wrote
// about the time. All requests settle, at the end of the session too.
func migrate(x *example) {
	x.until("#message", "signed out")
	chrome.Eval[bool](x.tab, fmt.Sprintf(`fetch("/auth/login", {
		method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ username: "ann", password: %q }),
	}).then((response) => response.json()).then(({ accessToken, refreshToken }) => {
		localStorage["authorized-token"] = JSON.stringify({ accessToken, refreshToken, username: "ann", expires: Date.now() - 1 });
		return true;
	})`, backend.Password))
	x.tab.Go(x.URL)
	x.until("#message", "signed in as ann")
	x.tab.Click("#ask")
	x.until("#message", "ann ann ann ann ann")
	x.expectRefreshes(1)
	x.tab.Go(x.URL)
	x.until("#message", "signed in as ann")
	if chrome.Eval[bool](x.tab, `"authorized-token" in localStorage`) {
		x.Error("the old tokens are still there")
	}
	x.endElsewhere()
	x.tab.Click("#ask")
	x.until("#message", "ended ended ended ended ended")
}

// A page that is rendered on a server takes the browser's cookie along to Tandem's server,
// and brings the next one back.
func TestTheRenderedExample(t *testing.T) {
	needPackages(t)
	b := backend.New(t)
	folder := appFolder(t)
	if err := os.CopyFS(folder, os.DirFS("examples/ssr")); err != nil {
		t.Fatal(err)
	}
	pages := startNode(t, folder, "TANDEM="+b.URL, "PORT=0")

	cookies := map[string]string{} // of the browser
	send := func(method, url, body string) (string, http.Header) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var pairs []string
		for name, value := range cookies {
			pairs = append(pairs, name+"="+value)
		}
		req.Header.Set("Cookie", strings.Join(append(pairs, "theme=dark"), "; "))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Tandem-Cookie", "1")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text), resp.Header
	}
	keep := func(header http.Header) {
		for _, c := range (&http.Response{Header: header}).Cookies() {
			if cookies[c.Name] = c.Value; c.MaxAge < 0 {
				delete(cookies, c.Name)
			}
		}
	}
	expect := func(text string) http.Header {
		t.Helper()
		page, header := send(http.MethodGet, pages, "")
		if !strings.Contains(page, text) {
			t.Errorf("the page is %q, want %q in it", page, text)
		}
		return header
	}

	expect("Please sign in.")
	_, header := send(http.MethodPost, b.URL+"/auth/login", fmt.Sprintf(`{"username":"ann","password":%q}`, backend.Password))
	keep(header)
	lost := expect("Hello ann") // the browser does not get this answer
	if len(lost.Values("Set-Cookie")) == 0 {
		t.Error("the page hands no cookie on")
	}
	for range 3 {
		keep(expect("Hello ann"))
	}
	if n := b.Count(server.EventReuseDetected); n != 0 {
		t.Errorf("reuse was detected %d times", n)
	}
	b.Expire()
	keep(expect("Hello ann"))
	_, header = send(http.MethodPost, b.URL+"/auth/logout", `{}`)
	keep(header)
	expect("Please sign in.")
}

// startNode runs server.mjs of a folder, and returns where it listens.
func startNode(t *testing.T, folder string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), need.Program(t, "node"), "server.mjs")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the example says nothing: %v", err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}
