package browser_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// All stories are told in one browser, each at an origin of its own.
func TestInChromium(t *testing.T) {
	b := chrome.Open(t)
	for _, story := range []struct {
		name string
		tell func(t *testing.T, b *chrome.Tab)
	}{
		{"Conformance", conformance},
		{"Fifty requests in each of four tabs make one refresh", fiftyRequestsInEachOfFourTabsMakeOneRefresh},
		{"A refresh that fails once", aRefreshThatFailsOnce},
		{"A sign out in one tab while another refreshes", aSignOutInOneTabWhileAnotherRefreshes},
		{"Bob signs in in another tab while requests of anns wait", bobSignsInInAnotherTabWhileRequestsOfAnnsWait},
		{"A frozen tab holds nobody for long", aFrozenTabHoldsNobodyForLong},
		{"The tab that refreshes is reloaded or closed", theTabThatRefreshesIsReloadedOrClosed},
		{"Storage that cannot be written", storageThatCannotBeWritten},
		{"The clock jumps by eight hours for a moment", theClockJumpsByEightHoursForAMoment},
		{"A replay that outlives its token", aReplayThatOutlivesItsToken},
		{"A 401 that arrives after the refresh", a401ThatArrivesAfterTheRefresh},
		{"A wrong password refreshes nothing", aWrongPasswordRefreshesNothing},
		{"The only tab sleeps over the refresh lifetime", theOnlyTabSleepsOverTheRefreshLifetime},
		{"A tab sleeps while another works", aTabSleepsWhileAnotherWorks},
		{"Offline for an hour", offlineForAnHour},
		{"Bodies are sent again whole or not at all", bodiesAreSentAgainWholeOrNotAtAll},
		{"A service worker between", aServiceWorkerBetween},
		{"A thief is noticed", aThiefIsNoticed},
		{"Nothing of the browser is there", nothingOfTheBrowserIsThere},
		{"Two SDKs on one page", twoSDKsOnOnePage},
		{"A newer version in another tab", aNewerVersionInAnotherTab},
		{"An older version in another tab", anOlderVersionInAnotherTab},
		{"Cookie mode", cookieMode},
		{"Cookie mode, and another user in another tab", cookieModeAnotherUser},
		{"Cookie mode from another site", cookieModeFromAnotherSite},
		{"Cookie mode with nothing but memory", cookieModeInMemory},
		{"Local storage under a lock is not coherent", localStorageUnderALockIsNotCoherent},
	} {
		t.Run(story.name, func(t *testing.T) { story.tell(t, b) })
	}
}

func fiftyRequestsInEachOfFourTabsMakeOneRefresh(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	tabs := []*chrome.Tab{s.tab, s.tab.NewTab(), s.tab.NewTab(), s.tab.NewTab()}
	s.open(tabs[0], "ann")
	for _, tab := range tabs[1:] {
		s.open(tab, "")
	}
	s.expire()
	for _, tab := range tabs {
		s.expect(tab, `app.begin(50)`, "begun")
	}
	for _, tab := range tabs {
		s.expect(tab, `app.outcomes()`, "50 × 200")
	}
	s.expectTraffic(1)
}

// Whatever comes in place of an answer, nobody is signed out and no request is lost.
func aRefreshThatFailsOnce(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	for name, fault := range map[string]func(w http.ResponseWriter, r *http.Request){
		"503":              func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a cut connection": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a reply that is lost": func(_ http.ResponseWriter, r *http.Request) {
			s.Server.Server.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		},
		"a page": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!doctype html>") },
	} {
		s.expire()
		s.once(fault)
		s.expect(s.tab, `app.fire(50)`, "50 × 200")
		if t.Failed() {
			t.Fatal(name)
		}
	}
	s.expectNoTheft()
}

func aSignOutInOneTabWhileAnotherRefreshes(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	s.open(s.tab, "ann")
	s.open(other, "")
	s.expire()
	came, release := s.hold()
	s.expect(other, `app.begin(5)`, "begun")
	<-came
	s.expect(s.tab, `app.signOut()`, "ok")
	release()
	s.expect(other, `app.outcomes()`, "5 × ended signed_out")
	for _, tab := range []*chrome.Tab{s.tab, other} {
		tab.Until(`auth.state.status === "signedOut"`)
		tab.Go(s.url)
		s.expect(tab, `auth.ready.then(() => auth.state.status)`, "signedOut")
	}
	s.expectTraffic(1)
}

func bobSignsInInAnotherTabWhileRequestsOfAnnsWait(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	s.open(s.tab, "ann")
	s.open(other, "")
	s.expire()
	came, release := s.hold()
	s.expect(s.tab, `app.begin(50)`, "begun")
	<-came
	s.signIn(other, "bob")
	release()
	s.expect(s.tab, `app.outcomes()`, "50 × user_changed")
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.fire(3)`, "3 × 200")
		s.expect(tab, `auth.state.username`, "bob")
	}
	s.expect(s.tab, `app.heard("userChanged").map(({ username, previous }) => previous + " " + username).join()`, "ann bob")
}

// A tab that is frozen in the middle of its refresh holds the lock of all. The others go on
// before it is thawed; how long that takes depends on the machine.
func aFrozenTabHoldsNobodyForLong(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	others := []*chrome.Tab{s.tab.NewTab(), s.tab.NewTab()}
	s.open(s.tab, "ann")
	for _, tab := range others {
		s.open(tab, "")
	}
	s.expire()
	came, release := s.hold()
	s.expect(s.tab, `app.begin(5)`, "begun")
	<-came
	s.tab.Freeze()
	release()
	for _, tab := range others {
		s.expect(tab, `app.begin(50)`, "begun")
	}
	for _, tab := range others {
		s.expect(tab, `app.outcomes()`, "50 × 200")
		t.Logf("the slowest request took %v ms", chrome.Eval[any](tab, `app.slowest()`))
	}
	// That of the frozen tab, and one for all others; where a tab needs seconds for its
	// refresh, the next one takes it for frozen, too.
	refreshes := s.Served(testserver.Refresh)
	if refreshes < 2 || refreshes > 3 {
		t.Errorf("%d refreshes, want 2", refreshes)
	}
	s.expectNoTheft()

	s.tab.Thaw()
	s.expect(s.tab, `app.outcomes()`, "5 × 200")
	s.expire()
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
	s.expectTraffic(refreshes + 1)
}

func theTabThatRefreshesIsReloadedOrClosed(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	s.open(s.tab, "ann")
	s.open(other, "")
	for _, leave := range []func(){
		func() { s.tab.Go(s.url) },
		func() { s.tab.Go("about:blank") },
	} {
		s.expire()
		came, release := s.hold()
		s.expect(s.tab, `app.begin(5)`, "begun")
		<-came
		s.expect(other, `app.begin(50)`, "begun")
		leave()
		release()
		s.expect(other, `app.outcomes()`, "50 × 200")
		t.Logf("the slowest request took %v ms", chrome.Eval[any](other, `app.slowest()`))
	}
	s.expectNoTheft()
}

// A store that cannot be written keeps the old pair, which is presented after a reload.
func storageThatCannotBeWritten(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expect(s.tab, `app.breakStorage()`, "broken")
	for range 3 {
		s.expire()
		s.expect(s.tab, `app.fire(20)`, "20 × 200")
	}
	s.expect(s.tab, `auth.problems.map(({ code }) => code).join()`, "storage")
	s.tab.Go(s.url)
	s.expire()
	s.expect(s.tab, `app.fire(20)`, "20 × 200")
	s.expectTraffic(4)
}

func theClockJumpsByEightHoursForAMoment(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	const hours = 8 * 3600 * 1000
	s.expect(s.tab, fmt.Sprintf(`app.setWallClock(%d)`, hours), "set")
	s.expect(s.tab, `app.fire(5)`, "5 × 200") // its token seems to have run out
	s.expect(s.tab, `app.setWallClock(0)`, "set")
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
	for range 2 {
		s.expire()
		s.expect(s.tab, `app.fire(5)`, "5 × 200")
	}
	s.expectTraffic(4)
}

// A replay may be under way for longer than its token lives. It is lost; what comes
// afterwards is not.
func aReplayThatOutlivesItsToken(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expire()
	var sends atomic.Int32
	s.Script(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == testserver.Hello && sends.Add(1) == 2 {
			s.expire()
		}
		return false
	})
	s.expect(s.tab, `app.setEvenClockWithTheNextReplay(3601 * 1000)`, "set")
	s.expect(s.tab, `app.fire(1)`, "1 × 401")
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
}

func nothingOfTheBrowserIsThere(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.tab.Go(s.url)
	s.expect(s.tab, `(sessionStorage.prepare = app.poverty, "")`, "")
	s.open(s.tab, "ann")
	s.expire()
	s.expect(s.tab, `app.fire(50)`, "50 × 200")
	s.expect(s.tab, `auth.problems.map(({ code }) => code).join()`, "storage,locks")
	s.expectTraffic(1)
	s.expect(s.tab, `app.signOut()`, "ok")
	if errs := strings.Join(s.tab.Errors(), "\n"); errs != "" {
		t.Error(errs)
	}
}

func twoSDKsOnOnePage(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expect(s.tab, `app.another()`, "signedIn")
	s.expire()
	s.expect(s.tab, `Promise.all([app.fire(20), app.fire(20, window.another)]).then(String)`, "20 × 200,20 × 200")
	s.expectTraffic(1)
	s.expect(s.tab, `another.signOut().then(() => "ok")`, "ok")
	s.tab.Until(`auth.state.status === "signedOut"`)
}

// A newer version of the SDK in another tab has written what this one cannot read: it
// leaves that alone, and does not present what it remembers.
func aNewerVersionInAnotherTab(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.open(s.tab, "ann")
	s.expect(s.tab, `app.writeRecord({ format: 2, anything: "else" })`, "written")
	s.expect(s.tab, `app.fire(3)`, "3 × 200") // with the access token that it has
	s.expire()
	s.expect(s.tab, `app.fire(3)`, "3 × temporary")
	s.expect(s.tab, `auth.problems.map(({ code }) => code).join()`, "newer_version")
	s.expect(s.tab, `app.readRecord().then(({ anything }) => anything)`, "else")
	s.signIn(s.tab, "bob") // for this page alone
	s.expect(s.tab, `app.fire(3)`, "3 × 200")
	s.expect(s.tab, `app.readRecord().then(({ anything }) => anything)`, "else")
	s.expectTraffic(0)
}

// Why the session is not in localStorage: what a tab reads under a Web Lock may be what
// another has overwritten. In IndexedDB nothing is lost.
func localStorageUnderALockIsNotCoherent(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	tabs := []*chrome.Tab{s.tab, s.tab.NewTab(), s.tab.NewTab(), s.tab.NewTab()}
	for _, tab := range tabs {
		s.open(tab, "")
	}
	for _, tab := range tabs {
		s.expect(tab, `app.count(100)`, "begun")
	}
	for _, tab := range tabs {
		tab.Until(`app.counted`)
	}
	s.expect(s.tab, `app.readRecord("counter")`, 400)
	t.Logf("localStorage counted %v of 400", chrome.Eval[any](s.tab, `Number(localStorage.counter)`))
}

// In cookie mode no script can read the refresh token, and the store has no token at all.
// Tabs tell each other the access token.
func cookieMode(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.options(tab, s.url, `{"mode":"cookie"}`)
	}
	s.open(s.tab, "ann")
	s.open(other, "")
	s.expect(other, `auth.state.username`, "ann")
	s.expect(other, `app.fire(5)`, "5 × 200")
	s.expectTraffic(0)
	s.expect(s.tab, `app.secrets()`, "none")

	s.expire()
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.begin(50)`, "begun")
	}
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.outcomes()`, "50 × 200")
	}
	s.expectTraffic(1)
	s.expect(s.tab, `app.secrets()`, "none")

	other.Go("about:blank")
	s.open(s.tab, "") // a reload loses the access token, and nobody else has it
	s.expect(s.tab, `auth.state.username`, "ann")
	s.expect(s.tab, `app.fire(5)`, "5 × 200")
	s.expectTraffic(2)

	came, release := s.hold()
	s.expire()
	s.expect(s.tab, `app.begin(5)`, "begun")
	<-came
	s.expect(s.tab, `app.signOut()`, "ok")
	release()
	s.expect(s.tab, `app.outcomes()`, "5 × ended signed_out")
	s.open(s.tab, "")
	s.expect(s.tab, `app.fire(1)`, "1 × ended signed_out")
	s.expect(s.tab, `auth.problems.length`, 0)
	s.expectTraffic(3)
}

func cookieModeAnotherUser(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	other := s.tab.NewTab()
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.options(tab, s.url, `{"mode":"cookie"}`)
	}
	s.open(s.tab, "ann")
	s.open(other, "")
	s.expire()
	came, release := s.hold()
	s.expect(s.tab, `app.begin(50)`, "begun")
	<-came
	s.signIn(other, "bob")
	release()
	s.expect(s.tab, `app.outcomes()`, "50 × user_changed")
	for _, tab := range []*chrome.Tab{s.tab, other} {
		s.expect(tab, `app.fire(3)`, "3 × 200")
		s.expect(tab, `auth.state.username`, "bob")
	}
	s.expire()
	s.expect(s.tab, `app.fire(3)`, "3 × 200")
	s.expectTraffic(2)
}

// The browser keeps no cookie of another site. That is said after the sign-in, not when
// the access token has run out.
func cookieModeFromAnotherSite(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.options(s.tab, s.otherSite, fmt.Sprintf(`{"mode":"cookie","url":%q}`, s.url))
	s.tab.Go(s.otherSite)
	s.signIn(s.tab, "ann")
	s.tab.Until(`auth.problems.some(({ code }) => code === "cookie_missing")`)
	s.expect(s.tab, `app.token()`, "ok")
	s.expect(s.tab, `app.setWallClock(3601 * 1000)`, "set")
	s.expect(s.tab, `app.token()`, "temporary")
	s.expect(s.tab, `auth.state.status`, "signedIn")
}

// Without a store, the cookie is all that a reload leaves.
func cookieModeInMemory(t *testing.T, b *chrome.Tab) {
	s := newStage(t, b)
	s.options(s.tab, s.url, `{"mode":"cookie","storage":"memory"}`)
	s.open(s.tab, "ann")
	s.open(s.tab, "")
	s.expect(s.tab, `auth.state.status`, "signedIn")
	s.expect(s.tab, `app.fire(3)`, "3 × 200")
	s.expect(s.tab, `app.signOut()`, "ok")
	s.open(s.tab, "")
	s.expect(s.tab, `app.fire(3)`, "3 × ended not_signed_in")
}
