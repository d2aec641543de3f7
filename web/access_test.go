package web_test

import (
	"os"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// everybodyCanUseIt has axe-core look at the page in each of its states, in both languages
// and both colour schemes, and uses it by the keyboard alone.
func everybodyCanUseIt(s *stage) {
	axe := axeCore(s.T)
	look := func(state string) {
		s.Helper()
		for _, scheme := range []string{"light", "dark"} {
			s.tab.SetColorScheme(scheme)
			for range 2 { // English and Chinese
				chrome.Eval[bool](s.tab, "("+axe+", true)")
				found := chrome.Eval[[]string](s.tab, `axe.run().then(({ violations }) =>
					violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html }) => html).join(" ")))`)
				for _, violation := range found {
					s.Errorf("%s, %s: %s", state, scheme, violation)
				}
				do(s.tab, `document.getElementById("lang").click()`)
			}
		}
	}
	s.tab.Go(s.url)
	s.tab.Until(`document.body.dataset.ready`)
	look("the form")
	s.signIn(s.tab, "wrong")
	s.tab.Until(`document.getElementById("signin-error").textContent !== ""`)
	look("the form after a wrong password")

	do(s.tab, `document.getElementById("username").focus()`)
	s.tab.Type("#username", "demo")
	s.tab.Type("#password", "demo\r")
	s.tab.Until(`document.activeElement.id === "fire-20"`)
	look("signed in")
	s.press(s.tab, "do-unavailable")
	look("after an experiment")
	s.press(s.tab, "fire-20")
	chrome.Eval[int](s.tab, withToken("DELETE", "/auth/sessions"))
	s.press(s.tab, "fire-1")
	s.expectForm(s.tab, 1)
	look("after the end")
	s.expectNoErrors(s.tab)
}

// axeCore returns the script of axe-core, an expression.
func axeCore(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../browser/node_modules/axe-core/axe.min.js")
	if err != nil {
		need.Missing(t, "axe-core")
	}
	return "(() => {" + string(text) + "})()"
}
