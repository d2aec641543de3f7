package web_test

import (
	"fmt"
	"strconv"
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

// A stage is the try-it server, and its page in a real browser. The server's clock
// stands still until a test moves it, so that no token runs out because the machine is
// busy.
type stage struct {
	*testing.T
	url   string
	tab   *chrome.Tab
	ahead atomic.Int64 // of the server's clock, in nanoseconds

	mu     sync.Mutex
	events map[server.EventKind]int
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return newStageWith(t, accessTTL)
}

func newStageWith(t *testing.T, accessTTL time.Duration) *stage {
	t.Helper()
	s := &stage{T: t, tab: chrome.Open(t), events: map[server.EventKind]int{}}
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

func (s *stage) eventCount(kind server.EventKind) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.events[kind]
}

func (s *stage) signIn(tab *chrome.Tab, password string) {
	s.Helper()
	tab.Until(`document.body.dataset.state === "signed-out"`)
	tab.Type("#username", tryit.Username)
	tab.Type("#password", password)
	tab.Click("#signin-submit")
}

// open goes to the page and signs in.
func (s *stage) open() {
	s.Helper()
	s.tab.Go(s.url)
	s.signIn(s.tab, tryit.Password)
	s.tab.Until(`document.body.dataset.state === "signed-in"`)
}

// fire fires requests and waits until all are settled.
func (s *stage) fire(tab *chrome.Tab, n int) {
	s.Helper()
	before := chrome.Eval[string](tab, `document.body.dataset.batches`)
	tab.Click(fmt.Sprintf("#fire-%d", n))
	tab.Until(fmt.Sprintf(`document.body.dataset.batches !== %q`, before))
}

func (s *stage) count(tab *chrome.Tab, name string) int {
	s.Helper()
	n, err := strconv.Atoi(chrome.Eval[string](tab, fmt.Sprintf(`document.getElementById("count-%s").textContent`, name)))
	if err != nil {
		s.Fatalf("count of %s: %v", name, err)
	}
	return n
}

func (s *stage) expectCounts(tab *chrome.Tab, want map[string]int) {
	s.Helper()
	for name, n := range want {
		if got := s.count(tab, name); got != n {
			s.Errorf("the page counts %d %s, want %d", got, name, n)
		}
	}
}

// advance moves the server's clock.
func (s *stage) advance(by time.Duration) { s.ahead.Add(int64(by)) }

// expire has the access token run out: the server refuses it from now on.
func (s *stage) expire(tab *chrome.Tab) {
	s.Helper()
	s.advance(accessTTL + time.Second) // the token's expiry is rounded up to the second
	if status := chrome.Eval[int](tab, withToken("GET", "/auth/me")); status != 401 {
		s.Fatalf("the access token has not run out: %d", status)
	}
}

// withToken is a request past the page's own script, with the access token that
// the page keeps; its value is the status.
func withToken(method, path string) string {
	return fmt.Sprintf(`fetch(%q, { method: %q, headers: { Authorization:
		"Bearer " + JSON.parse(localStorage.getItem("tandem.session")).accessToken } }).then((r) => r.status)`, path, method)
}

// expectForm fails unless the page is at the sign-in form, after so many ends of
// a session.
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

func TestTwoHundredRequestsAtTheMomentOfExpiryMakeOneRefresh(t *testing.T) {
	s := newStage(t)
	s.open()
	s.expire(s.tab)
	s.fire(s.tab, 200)
	s.expectCounts(s.tab, map[string]int{
		"requests": 200, "answered": 200, "refreshes": 1, "failed": 0,
		"replays": s.count(s.tab, "unauthorized"),
	})
	if n := s.eventCount(server.EventRefreshed); n != 1 {
		t.Errorf("the server counts %d refreshes, want 1", n)
	}

	// And so on, for as long as one likes.
	for range 2 {
		s.expire(s.tab)
		s.fire(s.tab, 20)
	}
	s.expectCounts(s.tab, map[string]int{"answered": 240, "refreshes": 3, "failed": 0})
	s.expectNoErrors(s.tab)
}

// The page counts down by the browser's own clock, and the next request renews the
// token.
func TestThePageSaysThatTheTokenHasRunOut(t *testing.T) {
	s := newStageWith(t, time.Second)
	s.open()
	s.tab.Until(`document.body.dataset.expired === "true"`)
	s.advance(2 * time.Second)
	s.fire(s.tab, 1)
	s.expectCounts(s.tab, map[string]int{"answered": 1, "refreshes": 1, "failed": 0})
}

// Another tab ends the session at the server, behind the page's back.
func TestASessionThatIsKilledElsewhereEndsOnce(t *testing.T) {
	s := newStage(t)
	s.open()
	second := s.tab.NewTab()
	second.Go(s.url)
	second.Until(`document.body.dataset.state === "signed-in"`)
	if status := chrome.Eval[int](second, withToken("DELETE", "/auth/sessions")); status != 204 {
		t.Fatalf("status %d", status)
	}
	s.fire(s.tab, 200)
	s.expectForm(s.tab, 1)
	s.expectForm(second, 1) // it hears of the end though it asked for nothing
	s.expectCounts(s.tab, map[string]int{"requests": 200, "answered": 0, "refreshes": 0, "failed": 200})
	if n := s.eventCount(server.EventRefreshRefused); n != 1 {
		t.Errorf("%d refreshes were refused, want 1", n)
	}

	s.signIn(s.tab, tryit.Password)
	s.tab.Until(`document.body.dataset.state === "signed-in"`)
	s.fire(s.tab, 1)
	s.expectCounts(s.tab, map[string]int{"answered": 1})
	second.Until(`document.body.dataset.state === "signed-in"`)
	s.expectNoErrors(s.tab, second)
}

// The list of sessions has a button for each, on whatever device.
func TestASessionIsEndedFromTheListOfAnother(t *testing.T) {
	s := newStage(t)
	s.open()
	id := chrome.Eval[string](s.tab, `JSON.parse(localStorage.getItem("tandem.session")).sessionId`)
	phone := newVisitor(t, s)
	phone.Click(fmt.Sprintf(`#sessions [data-session-id=%q] button.end`, id))
	phone.Until(`document.querySelectorAll("#sessions [data-session-id]").length === 1`)
	s.fire(s.tab, 20)
	s.expectForm(s.tab, 1)
	if reason := chrome.Eval[string](s.tab, `document.getElementById("ended-reason").textContent`); reason == "" {
		t.Error("the page does not say why the session ended")
	}
}

// newVisitor signs in with another browser, as from another device.
func newVisitor(t *testing.T, s *stage) *chrome.Tab {
	t.Helper()
	tab := chrome.Open(t)
	tab.Go(s.url)
	s.signIn(tab, tryit.Password)
	tab.Until(`document.querySelectorAll("#sessions [data-session-id]").length === 2`)
	return tab
}

func TestSigningOutIsNoEnding(t *testing.T) {
	s := newStage(t)
	s.open()
	second := s.tab.NewTab()
	second.Go(s.url)
	second.Until(`document.body.dataset.state === "signed-in"`)
	s.tab.Click("#signout")
	s.expectForm(s.tab, 0)
	s.expectForm(second, 1)

	s.tab.Go(s.url) // and it stays so
	s.expectForm(s.tab, 0)
	s.expectNoErrors(s.tab, second)
}

func TestAWrongPasswordIsSaidAtTheForm(t *testing.T) {
	s := newStage(t)
	s.tab.Go(s.url)
	s.signIn(s.tab, "wrong")
	s.tab.Until(`document.getElementById("signin-error").textContent !== ""`)
	s.expectForm(s.tab, 0)
	if n := s.eventCount(server.EventRefreshRefused); n != 0 {
		t.Errorf("%d refreshes, want none", n)
	}
}

// The reply of a refresh gets lost. Nobody notices.
func TestALostReplyOnThePage(t *testing.T) {
	s := newStage(t)
	s.open()
	s.tab.Click("#lose-reply")
	s.expire(s.tab)
	s.fire(s.tab, 20)
	s.expectCounts(s.tab, map[string]int{"answered": 20, "failed": 0, "refreshes": 1})
	if n := s.eventCount(server.EventRefreshRetried); n != 1 {
		t.Errorf("the server counts %d retries, want 1", n)
	}
	s.expectSignedIn(s.tab)
}

// The thief copies the refresh token, uses it and then what it was given. The
// page's own next refresh gives the two parties away.
func TestTheThiefOnThePage(t *testing.T) {
	s := newStage(t)
	s.open()
	s.expire(s.tab)
	s.tab.Click("#thief")
	s.tab.Until(`!document.getElementById("thief").disabled`)
	s.fire(s.tab, 1) // within the leeway it could be a delayed duplicate
	s.expectSignedIn(s.tab)
	s.advance(server.DefaultLeeway + time.Second)
	s.fireUntilTheEnd(s.tab)
	s.expectForm(s.tab, 1)
	if n := s.eventCount(server.EventReuseDetected); n != 1 {
		t.Errorf("reuse was detected %d times, want once", n)
	}
}

// fireUntilTheEnd fires one request after the other.
func (s *stage) fireUntilTheEnd(tab *chrome.Tab) {
	s.Helper()
	deadline := time.Now().Add(time.Minute)
	for chrome.Eval[string](tab, `document.body.dataset.state`) == "signed-in" {
		if time.Now().After(deadline) {
			s.Fatal("the session goes on")
		}
		chrome.Eval[bool](tab, `(document.getElementById("fire-1").click(), true)`)
	}
}

func (s *stage) expectSignedIn(tab *chrome.Tab) {
	s.Helper()
	if state := chrome.Eval[string](tab, `document.body.dataset.state`); state != "signed-in" {
		s.Errorf("the page is %s, want signed-in", state)
	}
}
