package web_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/tryit"
	"github.com/tandem-auth/tandem/server"
)

// What goes wrong around a page: its storage, its clock, another tab.

// do evaluates a statement in a tab.
func do(tab *chrome.Tab, statement string) {
	chrome.Eval[bool](tab, "(() => { "+statement+"; return true })()")
}

// second opens a second tab, which is signed in with the first.
func (s *stage) second() *chrome.Tab {
	s.Helper()
	tab := s.tab.NewTab()
	tab.Go(s.url)
	tab.Until(`document.body.dataset.state === "signed-in"`)
	return tab
}

// runOut has the access token run out, wherever it is kept.
func (s *stage) runOut() { s.advance(accessTTL + time.Second) }

// expectPeace fails if the server has taken a token of the page's for a duplicate or
// for stolen, or has refused one.
func (s *stage) expectPeace() {
	s.Helper()
	for _, kind := range []server.EventKind{server.EventRefreshStale, server.EventReuseDetected, server.EventRefreshRefused} {
		if n := s.eventCount(kind); n != 0 {
			s.Errorf("the server counts %d of %s, want none", n, kind)
		}
	}
}

const (
	cannotWrite = `Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") }`
	cannotStore = `for (const name of ["getItem", "setItem", "removeItem"])
		Storage.prototype[name] = () => { throw new DOMException("denied", "SecurityError") }`
)

// Once the storage is full, the page presents the refresh token that the storage has,
// as it will again when it is loaded anew.
func TestAPageWhoseStorageIsFull(t *testing.T) {
	s := newStage(t)
	s.open()
	do(s.tab, cannotWrite)
	for range 3 {
		s.runOut()
		s.fire(s.tab, 20)
	}
	s.expectCounts(s.tab, map[string]int{"answered": 60, "failed": 0, "refreshes": 3})

	s.tab.Go(s.url)
	s.runOut()
	s.fire(s.tab, 20)
	s.expectCounts(s.tab, map[string]int{"answered": 20, "failed": 0, "refreshes": 1})
	s.expectSignedIn(s.tab)
	s.expectPeace()
	s.expectNoErrors(s.tab)
}

// What a full storage cannot keep, it keeps as soon as it has room.
func TestAStorageThatHasRoomAgain(t *testing.T) {
	s := newStage(t)
	s.open()
	do(s.tab, `window.setItem = Storage.prototype.setItem`)
	do(s.tab, cannotWrite)
	s.runOut()
	s.fire(s.tab, 1)
	do(s.tab, `Storage.prototype.setItem = window.setItem`)
	s.runOut()
	s.fire(s.tab, 1)
	s.expectCounts(s.tab, map[string]int{"answered": 2, "failed": 0, "refreshes": 2})
	if revision := chrome.Eval[int](s.tab, `JSON.parse(localStorage.getItem("tandem.session")).revision`); revision != 3 {
		t.Errorf("the storage has revision %d, want 3", revision)
	}
	s.expectPeace()
}

// Signing in, refreshing and signing out work in a tab without any storage.
func TestAPageWithoutStorage(t *testing.T) {
	for name, statement := range map[string]string{"full": cannotWrite, "denied": cannotStore} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.tab.Go(s.url)
			do(s.tab, statement)
			s.signIn(s.tab, tryit.Password)
			s.tab.Until(`document.body.dataset.state === "signed-in"`)
			for range 2 {
				s.runOut()
				s.fire(s.tab, 20)
			}
			s.expectCounts(s.tab, map[string]int{"answered": 40, "failed": 0, "refreshes": 2})
			s.expectPeace()
			s.tab.Click("#signout")
			s.expectForm(s.tab, 0)
			s.expectNoErrors(s.tab)
		})
	}
}

// A tab whose storage is full signs out: the pair is gone from it all the same.
func TestSigningOutOfAFullStorage(t *testing.T) {
	s := newStage(t)
	s.open()
	second := s.second()
	do(s.tab, cannotWrite)
	s.tab.Click("#signout")
	s.expectForm(s.tab, 0)
	s.expectForm(second, 1)
	s.tab.Go(s.url)
	s.expectForm(s.tab, 0)
}

// A tab that cannot write goes on reading: what other tabs do counts.
func TestAnotherTabSignsOutWhileTheStorageIsFull(t *testing.T) {
	s := newStage(t)
	s.open()
	second := s.second()
	do(s.tab, cannotWrite)
	s.runOut()
	s.fire(s.tab, 1)
	second.Click("#signout")
	s.expectForm(s.tab, 1)
	s.fireNothing(s.tab)
}

// fireNothing fails if a request of a signed-out tab is answered.
func (s *stage) fireNothing(tab *chrome.Tab) {
	s.Helper()
	before := s.count(tab, "answered")
	do(tab, `document.getElementById("fire-1").click()`)
	tab.Until(`document.getElementById("count-failed").textContent !== "0"`)
	s.expectCounts(tab, map[string]int{"answered": before})
}

// Somebody sets the clock, while a failed refresh is remembered, and with a token
// that another tab has received.
func TestTheClockIsSet(t *testing.T) {
	for name, hours := range map[string]int{"back": -5, "ahead": 5} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.open()
			second := s.second()
			for _, tab := range []*chrome.Tab{s.tab, second} {
				do(tab, `window.realFetch = fetch; window.realNow = Date.now`)
			}
			s.runOut()
			do(s.tab, `window.fetch = (path, options) => path === "/auth/refresh-token" ?
				Promise.resolve(new Response("", { status: 503, headers: { "Retry-After": "3" } })) : realFetch(path, options)`)
			s.fire(s.tab, 20)
			s.expectCounts(s.tab, map[string]int{"answered": 0, "failed": 20})
			for _, tab := range []*chrome.Tab{s.tab, second} {
				do(tab, fmt.Sprintf(`window.fetch = realFetch; Date.now = () => realNow() + %d * 3600_000`, hours))
			}
			s.fireUntilAnswered(s.tab)
			failed := s.count(s.tab, "failed")
			s.fire(s.tab, 20)
			s.expectCounts(s.tab, map[string]int{"failed": failed})
			s.fire(second, 20)
			s.expectCounts(second, map[string]int{"answered": 20, "failed": 0})
			s.expectSignedIn(s.tab)
			s.expectSignedIn(second)
			s.expectPeace()
		})
	}
}

// fireUntilAnswered fires one request after the other until one is answered.
func (s *stage) fireUntilAnswered(tab *chrome.Tab) {
	s.Helper()
	tab.Until(`(document.getElementById("count-answered").textContent !== "0" ||
		(document.getElementById("fire-1").click(), false))`)
}

// A tab is frozen in the middle of a refresh, with the lock in its hand. Another one
// goes on within seconds; when the first wakes up, both go on.
func TestAFrozenTabHasTheLock(t *testing.T) {
	s := newStage(t)
	s.open()
	frozen := s.second()
	s.runOut()
	do(frozen, `window.realFetch = fetch; window.fetch = async (path, options) => {
		const response = await realFetch(path, path === "/auth/refresh-token" ? { ...options, signal: undefined } : options);
		if (path === "/auth/refresh-token") await new Promise((wake) => { window.wake = wake; });
		return response;
	}`)
	do(frozen, `document.getElementById("fire-20").click()`)
	frozen.Until(`window.wake`)

	do(s.tab, `window.began = performance.now()`)
	s.fire(s.tab, 20)
	if waited := chrome.Eval[float64](s.tab, `performance.now() - began`); waited > 15_000 {
		t.Errorf("the requests took %.0f ms, want seconds", waited)
	}
	s.expectCounts(s.tab, map[string]int{"answered": 20, "failed": 0, "refreshes": 1})

	do(frozen, `window.fetch = realFetch; wake()`)
	frozen.Until(`document.body.dataset.batches === "1"`)
	s.expectCounts(frozen, map[string]int{"answered": 20, "failed": 0})
	for _, tab := range []*chrome.Tab{frozen, s.tab} {
		s.runOut()
		s.fire(tab, 20)
		s.expectSignedIn(tab)
	}
	s.expectPeace()
	s.expectNoErrors(s.tab, frozen)
}

// A replay on which the access token runs out says nothing about the next one.
func TestAReplayOutlivesItsToken(t *testing.T) {
	const ttl = time.Second
	s := newStageWith(t, ttl)
	s.open()
	s.advance(2 * ttl)
	do(s.tab, `const real = fetch; let calls = 0; window.fetch = async (path, options) => {
		if (path.startsWith("/api/") && ++calls === 2) await new Promise((go) => { window.go = go; });
		return real(path, options);
	}`)
	do(s.tab, `document.getElementById("fire-1").click()`)
	s.tab.Until(`window.go && document.body.dataset.expired === "true"`)
	s.advance(2 * ttl)
	do(s.tab, `go()`)
	s.tab.Until(`document.body.dataset.batches === "1"`)
	s.expectCounts(s.tab, map[string]int{"answered": 0, "failed": 1, "refreshes": 1})

	s.fire(s.tab, 1)
	s.expectCounts(s.tab, map[string]int{"answered": 1, "failed": 1, "refreshes": 2})
}

// The list of sessions has those of all pages.
func TestTheListOfSessionsHasAllPages(t *testing.T) {
	s := newStage(t)
	s.open()
	newVisitor(t, s)
	do(s.tab, `const real = fetch; window.fetch = (path, options = {}) =>
		real(path.startsWith("/auth/sessions") && !options.method ? path + (path.includes("?") ? "&" : "?") + "limit=1" : path, options)`)
	s.tab.Click("#sessions-reload")
	s.tab.Until(`document.querySelectorAll("#sessions [data-session-id]").length === 2`)
}

// The page decides as the other clients do.
func TestThePageDecidesLikeTheVectors(t *testing.T) {
	s := newStage(t)
	s.tab.Go(s.url)
	for _, file := range []string{"before", "after"} {
		text, err := os.ReadFile("../testdata/vectors/renewal/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		wrong := chrome.Eval[[]string](s.tab, fmt.Sprintf(decideVectors, file, text))
		if len(wrong) == 0 || wrong[0] == "0" {
			t.Fatalf("no vector of %s was tried", file)
		}
		for _, vector := range wrong[1:] {
			t.Errorf("%s: %s", file, vector)
		}
	}
}

// decideVectors is how many vectors were tried, and those that the page decides in
// another way. The page has no other servers, and none that is strict.
const decideVectors = `import("/try/renewal.js").then((renewal) => {
	const file = %q, { pairs, vectors } = %s, wrong = [];
	let tried = 0;
	for (const vector of vectors) {
		const { view, presented, answer, next, step } = vector;
		if (view.server !== "forgiving" || ["of another server", "of a former issuer"].includes(view.stored)) continue;
		tried++;
		const pair = (name) => pairs[name] ?? null;
		const seen = {
			live: pair(view.live), base: pair(view.base), stored: pair(view.stored),
			baseHeldFor: "basePresentedAt" in view ? -view.basePresentedAt : null, endedSessionId: view.endedSessionId,
		};
		const got = file === "before" ? renewal.before(seen) : renewal.after(seen, pair(presented), answer, pair(next));
		if (got !== step) wrong.push(got + ": " + JSON.stringify(vector));
	}
	return [String(tried), ...wrong];
})`
