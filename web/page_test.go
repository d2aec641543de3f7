package web_test

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/internal/tryit"
	"github.com/tandem-auth/tandem/server"
)

const accessTTL = time.Hour

// A stage is the try-it server, and its page in a tab. The server's clock stands still
// until a test moves it, so that no token runs out because the machine is busy.
type stage struct {
	*testing.T
	url   string
	tab   *chrome.Tab
	ahead atomic.Int64 // of the server's clock, in nanoseconds

	mu     sync.Mutex
	events map[server.EventKind]int
}

// All stories are told in one browser, each at an origin of its own.
func TestThePageInChromium(t *testing.T) {
	b := chrome.Open(t)
	for _, story := range []struct {
		name string
		tell func(s *stage)
	}{
		{"Two hundred requests at the moment of expiry make one refresh", twoHundredRequestsMakeOneRefresh},
		{"Faults cost the tutorial requests and the session, and the SDK nothing", faults},
		{"A slow refresh", aSlowRefresh},
		{"Somebody else signs in in another tab", somebodyElseSignsIn},
		{"A thief", aThief},
		{"A session that is ended elsewhere", aSessionThatIsEndedElsewhere},
		{"A session is ended from the list of another", aSessionIsEndedFromTheListOfAnother},
		{"Signing out is no ending", signingOutIsNoEnding},
		{"A wrong password is said at the form", aWrongPasswordIsSaid},
		{"The list of sessions has all pages", theListOfSessionsHasAllPages},
		{"Everybody can use it", everybodyCanUseIt},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(newStage(t, b)) })
	}
}

func newStage(t *testing.T, b *chrome.Tab) *stage {
	t.Helper()
	s := &stage{T: t, tab: b.NewTabFor(t), events: map[server.EventKind]int{}}
	began := time.Now()
	d, err := tryit.Open(t.Context(), tryit.Config{
		DataDir:   t.TempDir(),
		Listen:    "localhost:0",
		AccessTTL: accessTTL,
		OnEvent:   s.note,
		Now:       func() time.Time { return began.Add(time.Duration(s.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
	s.url = d.URL()
	return s
}

func (s *stage) note(e server.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[e.Kind]++
}

func (s *stage) expectEvents(kind server.EventKind, want int) {
	s.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.events[kind]; got != want {
		s.Errorf("the server counts %d times %s, want %d", got, kind, want)
	}
}

func (s *stage) signIn(tab *chrome.Tab, password string) {
	s.Helper()
	tab.Until(`document.body.dataset.ready && document.body.dataset.state === "signed-out"`)
	tab.Type("#username", tryit.Username)
	tab.Type("#password", password)
	tab.Click("#signin-submit")
}

// open goes to the page and signs in, in both lanes.
func (s *stage) open(tab *chrome.Tab, url string) {
	s.Helper()
	tab.Go(url)
	s.signIn(tab, tryit.Password)
	tab.Until(`document.body.dataset.state === "signed-in" && document.getElementById("tutorial").dataset.state === "signed-in"`)
}

// second opens a second tab, which is signed in with the first.
func (s *stage) second() *chrome.Tab {
	s.Helper()
	tab := s.tab.NewTab()
	tab.Go(s.url)
	tab.Until(`document.body.dataset.state === "signed-in" && document.querySelector("#sessions li")`)
	return tab
}

// visitor signs in as from another device: at another origin, a browser knows nothing of
// the first one.
func (s *stage) visitor() *chrome.Tab {
	s.Helper()
	tab := s.tab.NewTab()
	s.open(tab, strings.Replace(s.url, "localhost", "127.0.0.1", 1))
	return tab
}

// press clicks a button that sends requests, and waits until all are settled.
func (s *stage) press(tab *chrome.Tab, id string) {
	s.Helper()
	before := chrome.Eval[string](tab, `document.body.dataset.batches`)
	tab.Click("#" + id)
	tab.Until(fmt.Sprintf(`document.body.dataset.batches !== %q`, before))
}

// expect fails unless a lane has these numbers. Those that are not named are 0.
func (s *stage) expect(tab *chrome.Tab, lane string, want map[string]int) {
	s.Helper()
	for _, part := range []string{"answered", "lost", "refreshes", "signouts"} {
		text := s.text(tab, fmt.Sprintf(`#%s [data-part=%s]`, lane, part))
		if got, err := strconv.Atoi(text); err != nil || got != want[part] {
			s.Errorf("the lane %s has %s %s, want %d", lane, text, part, want[part])
		}
	}
}

func (s *stage) text(tab *chrome.Tab, selector string) string {
	s.Helper()
	return chrome.Eval[string](tab, fmt.Sprintf(`document.querySelector(%q).textContent`, selector))
}

func (s *stage) expectText(tab *chrome.Tab, selector, want string) {
	s.Helper()
	if got := s.text(tab, selector); !strings.Contains(got, want) {
		s.Errorf("%s says %q, want %q in it", selector, got, want)
	}
}

// expire has the access tokens run out: the server refuses them from now on.
func (s *stage) expire() { s.ahead.Add(int64(accessTTL + time.Second)) }

// expectForm fails unless the page is at the sign-in form, after so many ends of a
// session.
func (s *stage) expectForm(tab *chrome.Tab, endings int) {
	s.Helper()
	tab.Until(`document.body.dataset.state === "signed-out" && !document.getElementById("signin-form").hidden`)
	if got := chrome.Eval[string](tab, `document.body.dataset.endings`); got != strconv.Itoa(endings) {
		s.Errorf("the page went back to the form %s times, want %d", got, endings)
	}
}

func (s *stage) expectNoErrors(tabs ...*chrome.Tab) {
	s.Helper()
	for _, tab := range tabs {
		if errs := tab.Errors(); len(errs) > 0 {
			s.Errorf("the page has errors: %q", errs)
		}
	}
}

func twoHundredRequestsMakeOneRefresh(s *stage) {
	s.open(s.tab, s.url)
	s.expire()
	s.press(s.tab, "fire-200")
	s.expect(s.tab, "tandem", map[string]int{"answered": 200, "refreshes": 1})
	// The tutorial's code may refresh again for a 401 that arrives late.
	s.expectText(s.tab, "#tutorial [data-part=answered]", "200")
	s.press(s.tab, "do-expired") // the same, with tokens that the page would still use
	s.expect(s.tab, "tandem", map[string]int{"answered": 400, "refreshes": 2})
	s.expectText(s.tab, "#tandem [data-part=verdict]", "200 of 200 answered")
	s.expectNoErrors(s.tab)
}

func faults(s *stage) {
	s.open(s.tab, s.url)
	for i, fault := range []string{"unavailable", "lost", "page"} {
		s.press(s.tab, "do-"+fault)
		n := 20 * (i + 1)
		s.expect(s.tab, "tandem", map[string]int{"answered": n, "refreshes": 2 * (i + 1)})
		if lost := s.text(s.tab, "#tutorial [data-part=lost]"); lost != strconv.Itoa(n) {
			s.Errorf("%s: the tutorial's code lost %s requests, want %d", fault, lost, n)
		}
	}
	s.expectText(s.tab, "#tandem [data-part=verdict]", "20 of 20 answered")
	s.expectText(s.tab, "#tutorial [data-part=verdict]", "0 of 20 answered")
	for _, kind := range []server.EventKind{server.EventReuseDetected, server.EventRefreshStale} {
		s.expectEvents(kind, 0)
	}

	s.press(s.tab, "do-unavailable")
	s.expectText(s.tab, "#tutorial [data-part=verdict]", "signed out, although the session lives")
	s.tab.Click("#again")
	s.tab.Until(`document.getElementById("tutorial").dataset.state === "signed-in"`)
	s.expectNoErrors(s.tab)
}

func aSlowRefresh(s *stage) {
	s.open(s.tab, s.url)
	do(s.tab, `const real = fetch; window.fetch = (path, options) =>
		real(path, path === "/try/faults" ? { ...options, body: options.body.replace("4000", "400") } : options)`)
	s.press(s.tab, "do-slow")
	s.expect(s.tab, "tandem", map[string]int{"answered": 20, "refreshes": 1})
	s.expectText(s.tab, "#tutorial [data-part=answered]", "20")
}

func somebodyElseSignsIn(s *stage) {
	s.open(s.tab, s.url)
	s.press(s.tab, "do-another")
	s.expectText(s.tab, "#tandem [data-part=verdict]", "20 of 20 requests of the earlier user were stopped")
	s.expectText(s.tab, "#tutorial [data-part=verdict]", "the tokens are demo's again")
	s.expectText(s.tab, "#who", "ann")
	s.expect(s.tab, "tandem", map[string]int{"answered": 1, "refreshes": 1})
	s.press(s.tab, "fire-20")
	s.expect(s.tab, "tandem", map[string]int{"answered": 21, "refreshes": 1})
	s.expectNoErrors(s.tab)
}

// The page waits for eleven seconds: this one waits for nothing but the server's clock.
func aThief(s *stage) {
	s.open(s.tab, s.url)
	do(s.tab, `const real = setTimeout; window.waiting = []; window.setTimeout = (act, ms, ...args) =>
		ms === 1000 ? waiting.push(act) : real(act, ms, ...args)`)
	s.tab.Click("#do-thief")
	s.tab.Until(`waiting.length`)
	s.ahead.Add(int64(server.DefaultLeeway + time.Second))
	s.tab.Until(`(waiting.splice(0).forEach((act) => act()), document.body.dataset.state === "signed-out")`)
	s.expectForm(s.tab, 1)
	s.expectText(s.tab, "#ended-reason", "Two parties were using this session")
	s.tab.Until(`document.body.dataset.batches === "1"`)
	s.expectEvents(server.EventReuseDetected, 2) // of the SDK's session, and of the tutorial's
}

// Another tab ends the session at the server, behind the page's back.
func aSessionThatIsEndedElsewhere(s *stage) {
	s.open(s.tab, s.url)
	second := s.second()
	if status := chrome.Eval[int](second, withToken("DELETE", "/auth/sessions")); status != 204 {
		s.Fatalf("status %d", status)
	}
	s.press(s.tab, "fire-200")
	s.expectForm(s.tab, 1)
	s.expectForm(second, 1) // it hears of the end though it asked for nothing
	s.expect(s.tab, "tandem", map[string]int{"lost": 200, "refreshes": 1, "signouts": 1})

	s.signIn(s.tab, tryit.Password)
	s.tab.Until(`document.body.dataset.state === "signed-in"`)
	s.press(s.tab, "fire-1")
	s.expectText(s.tab, "#tandem [data-part=verdict]", "1 of 1 answered")
	second.Until(`document.body.dataset.state === "signed-in"`)
	s.expectNoErrors(s.tab, second)
}

// withToken is a request past the page's own script, with the access token that the SDK
// keeps; its value is the status.
func withToken(method, path string) string {
	return fmt.Sprintf(`fetch(%q, { method: %q, headers: { Authorization:
		"Bearer " + JSON.parse(localStorage.getItem("tandem")).pair.accessToken } }).then((r) => r.status)`, path, method)
}

// The list of sessions has a button for each, on whatever device.
func aSessionIsEndedFromTheListOfAnother(s *stage) {
	s.open(s.tab, s.url)
	id := chrome.Eval[string](s.tab, `JSON.parse(localStorage.getItem("tandem")).pair.sessionId`)
	phone := s.visitor()
	phone.Click(fmt.Sprintf(`#sessions [data-session-id=%q] button.end`, id))
	phone.Until(fmt.Sprintf(`document.querySelector("#sessions li") && !document.querySelector('#sessions [data-session-id=%q]')`, id))
	s.press(s.tab, "fire-20")
	s.expectForm(s.tab, 1)
	s.expectText(s.tab, "#ended-reason", "from another of your sessions")
}

func signingOutIsNoEnding(s *stage) {
	s.open(s.tab, s.url)
	second := s.second()
	s.tab.Click("#signout")
	s.expectForm(s.tab, 0)
	s.expectForm(second, 1)

	s.tab.Go(s.url) // and it stays so
	s.expectForm(s.tab, 0)
	s.expectNoErrors(s.tab, second)
}

func aWrongPasswordIsSaid(s *stage) {
	s.tab.Go(s.url)
	s.signIn(s.tab, "wrong")
	s.tab.Until(`document.getElementById("signin-error").textContent !== ""`)
	s.expectForm(s.tab, 0)
	s.expectEvents(server.EventRefreshRefused, 0)
}

func theListOfSessionsHasAllPages(s *stage) {
	s.open(s.tab, s.url)
	s.visitor()
	do(s.tab, `const real = fetch; window.fetch = (path, options = {}) =>
		real(path.startsWith("/auth/sessions") && !options.method ? path + (path.includes("?") ? "&" : "?") + "limit=1" : path, options)`)
	s.tab.Click("#sessions-reload")
	s.tab.Until(`document.querySelectorAll("#sessions [data-session-id]").length === 4`)
}

// do evaluates a statement in a tab.
func do(tab *chrome.Tab, statement string) {
	chrome.Eval[bool](tab, "(() => { "+statement+"; return true })()")
}
