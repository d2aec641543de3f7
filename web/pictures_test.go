package web_test

import (
	"flag"
	"os"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/tryit"
)

var pictures = flag.String("pictures", "", "write screenshots of the page into this folder")

// The pictures in the docs: go test ./web -run Pictures -pictures ../docs/pictures
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("no -pictures")
	}
	b := chrome.Open(t)
	s := newStage(t, b)
	s.tab.SetColorScheme("light")
	s.tab.Go(s.url)
	s.tab.Until(`document.body.dataset.ready`)
	take := func(name string, width, height int64) {
		t.Helper()
		if err := os.WriteFile(*pictures+"/"+name+".png", s.tab.Screenshot(width, height), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s.signIn(s.tab, tryit.Password)
	s.tab.Until(`document.getElementById("tutorial").dataset.state === "signed-in"`)
	s.press(s.tab, "do-expired")
	s.press(s.tab, "do-lost")
	for range 2 {
		lang := chrome.Eval[string](s.tab, `document.documentElement.lang`)
		for _, scheme := range []string{"light", "dark"} {
			s.tab.SetColorScheme(scheme)
			do(s.tab, "scrollTo(0, 0)")
			take("try-"+lang+"-"+scheme, 1280, 1210)
		}
		s.tab.Click("#lang")
	}
}
