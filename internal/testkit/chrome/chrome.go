// Package chrome drives a real Chromium in tests.
package chrome

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// patience bounds every wait for a page.
const patience = 60 * time.Second

// A Tab is a tab of a browser. Its methods fail the test if they cannot do their work.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu     sync.Mutex
	errors []string
}

// Open starts a browser with a profile of its own and returns its first tab. The
// browser ends with the test. The options are further ones of the browser. If the machine has no Chromium, or with -short, Open skips the test; in
// CI it fails the test.
func Open(t testing.TB, options ...chromedp.ExecAllocatorOption) *Tab {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser takes seconds")
	}
	path := need.Program(t, "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "headless-shell")
	profile, err := os.MkdirTemp("", "tandem-chrome-") //nolint:usetesting // files that the browser writes while it ends must not fail the test
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(profile) })
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), append(append(chromedp.DefaultExecAllocatorOptions[:], options...),
		chromedp.ExecPath(path),
		chromedp.NoSandbox,
		chromedp.DisableGPU,
		chromedp.UserDataDir(profile),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		// A tab in the background must run as fast as one in the foreground.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
	)...)
	t.Cleanup(cancel)
	tab := newTab(t, allocator)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(tab.ctx, patience)
		defer cancel()
		_ = chromedp.Cancel(ctx) // waits until the process has ended
	})
	return tab
}

// NewTab opens another tab of the same profile.
func (tab *Tab) NewTab() *Tab {
	tab.t.Helper()
	return newTab(tab.t, tab.ctx)
}

// NewTabFor opens another tab of the same profile for another test, which ends it.
func (tab *Tab) NewTabFor(t testing.TB) *Tab {
	t.Helper()
	return newTab(t, tab.ctx)
}

func newTab(t testing.TB, parent context.Context) *Tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent)
	t.Cleanup(cancel)
	tab := &Tab{t: t, ctx: ctx}
	err := chromedp.Listen(ctx, func(event any) { tab.note(event) })
	if err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	if _, err := chromedp.Call(ctx, runtime.Enable, cdp.Empty{}); err != nil {
		t.Fatalf("start the browser: %v", err)
	}
	return tab
}

// note records an exception or error message of a page.
func (tab *Tab) note(event any) {
	var text string
	switch e := event.(type) {
	case *runtime.EventExceptionThrown:
		text = e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError {
			return
		}
		var words []string
		for _, arg := range e.Args {
			words = append(words, fmt.Sprint(string(arg.Value), arg.Description))
		}
		text = "console: " + strings.Join(words, " ")
	default:
		return
	}
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.errors = append(tab.errors, text)
}

// Errors returns the page's uncaught exceptions, and the texts that it printed with
// console.error.
func (tab *Tab) Errors() []string {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return append([]string(nil), tab.errors...)
}

// Go navigates to a URL and waits for the page to load.
func (tab *Tab) Go(url string) {
	tab.t.Helper()
	tab.do("go to "+url, chromedp.Navigate(url))
}

// Freeze has the browser stop the tab as it does with tabs in the background: no script
// runs in it, and what arrives waits. Thaw ends that.
func (tab *Tab) Freeze() { tab.setLifecycle(page.SetWebLifecycleStateStateFrozen) }

// Thaw has a frozen tab go on.
func (tab *Tab) Thaw() { tab.setLifecycle(page.SetWebLifecycleStateStateActive) }

func (tab *Tab) setLifecycle(state page.SetWebLifecycleStateState) {
	tab.t.Helper()
	if _, err := chromedp.Call(tab.ctx, page.SetWebLifecycleState, page.SetWebLifecycleStateParams{State: state}); err != nil {
		tab.t.Fatalf("%s: %v", state, err)
	}
}

// SetOffline cuts the tab off the network, or connects it again.
func (tab *Tab) SetOffline(isOffline bool) {
	tab.t.Helper()
	_, err := chromedp.Call(tab.ctx, network.Enable, network.EnableParams{})
	if err == nil {
		_, err = chromedp.Call(tab.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{
			Offline: isOffline, DownloadThroughput: -1, UploadThroughput: -1,
		})
	}
	if err == nil {
		_, err = chromedp.Call(tab.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
			MatchedNetworkConditions: []*network.Conditions{{Offline: isOffline, DownloadThroughput: -1, UploadThroughput: -1}},
		})
	}
	if err != nil {
		tab.t.Fatalf("offline %t: %v", isOffline, err)
	}
}

// SetColorScheme has the page see that the user prefers "light" or "dark".
func (tab *Tab) SetColorScheme(scheme string) {
	tab.t.Helper()
	features := []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}
	if _, err := chromedp.Call(tab.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: features}); err != nil {
		tab.t.Fatalf("the colour scheme %s: %v", scheme, err)
	}
}

// Screenshot returns the page as a PNG, as a window of that size shows it; the height 0 is
// that of the whole page. It waits until the page has been drawn.
func (tab *Tab) Screenshot(width, height int64) []byte {
	tab.t.Helper()
	if height == 0 {
		tab.resize(width, 800)
		height = Eval[int64](tab, `document.documentElement.scrollHeight`)
	}
	tab.resize(width, height)
	Eval[bool](tab, `new Promise((drawn) => requestAnimationFrame(() => setTimeout(() => requestAnimationFrame(() => drawn(true)), 1200)))`)
	shot, err := chromedp.Call(tab.ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err != nil {
		tab.t.Fatalf("take a screenshot: %v", err)
	}
	return shot.Data
}

func (tab *Tab) resize(width, height int64) {
	tab.t.Helper()
	_, err := chromedp.Call(tab.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: width, Height: height, DeviceScaleFactor: 1,
	})
	if err != nil {
		tab.t.Fatalf("resize the window: %v", err)
	}
}

// Click waits until the element with a CSS selector is visible, and clicks it.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.do("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

// Type replaces the content of the element with a CSS selector by typing text key by
// key.
func (tab *Tab) Type(selector, text string) {
	tab.t.Helper()
	tab.do("type into "+selector, chromedp.Focus(chromedp.CSS(selector)))
	Eval[bool](tab, fmt.Sprintf(`(document.querySelector(%q).select(), true)`, selector))
	tab.do("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

func (tab *Tab) do(doing string, actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		tab.t.Fatalf("%s: %v; %s", doing, err, tab.situation())
	}
}

// Eval returns the value of a JavaScript expression. It waits for a promise.
func Eval[T any](tab *Tab, expression string) T {
	tab.t.Helper()
	value, err := eval[T](tab, expression)
	if err != nil {
		tab.t.Fatalf("%s: %v; %s", expression, err, tab.situation())
	}
	return value
}

func eval[T any](tab *Tab, expression string) (T, error) {
	ctx, cancel := context.WithTimeout(tab.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T]("Promise.resolve("+expression+")", chromedp.EvalAwaitPromise))
}

// Until waits until a JavaScript expression is true, or a promise of what is true. While
// the page is being replaced, the expression may fail.
func (tab *Tab) Until(expression string) {
	tab.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		isTrue, err := eval[bool](tab, "Promise.resolve("+expression+").then(Boolean)")
		if err == nil && isTrue {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			tab.t.Fatalf("%s did not come true (error %v); %s", expression, err, tab.situation())
		}
	}
}

// situation describes the page, for the message of a failed test.
func (tab *Tab) situation() string {
	text, _ := eval[string](tab, "location.pathname + ': ' + document.body.innerText.slice(0, 500)")
	return fmt.Sprintf("the page %s; its errors %q", text, tab.Errors())
}
