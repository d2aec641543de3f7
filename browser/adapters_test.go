package browser_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/browser/internal/backend"
	"github.com/tandem-auth/tandem/internal/testkit/chrome"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// The stories are in test/adapters: axios and other clients, upload components, Vue and
// React, as they are, with the real server.
func TestTheAdaptersInChromium(t *testing.T) {
	needPackages(t)
	b := backend.New(t)
	b.ServePage(build(t, api.BuildOptions{
		EntryPoints: []string{"test/adapters/page.ts"},
		Platform:    api.PlatformBrowser,
		Format:      api.FormatIIFE,
		Define:      map[string]string{"process.env.NODE_ENV": `"production"`},
	}))
	tab := chrome.Open(t)
	tab.Go(b.URL)
	world, err := json.Marshal(map[string]string{"url": b.URL, "elsewhere": b.Elsewhere})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range chrome.Eval[[]string](tab, "stories.names") {
		t.Run(name, func(t *testing.T) {
			if failure := chrome.Eval[string](tab, fmt.Sprintf("stories.run(%q, %s)", name, world)); failure != "" {
				t.Error(failure)
			}
		})
	}
	if errors := tab.Errors(); len(errors) > 0 {
		t.Errorf("the page has errors: %q", errors)
	}
}

func TestTheAdaptersInNode(t *testing.T) {
	needPackages(t)
	node := need.Program(t, "node")
	b := backend.New(t)
	script := filepath.Join(t.TempDir(), "stories.cjs") // parts of axios call require
	build(t, api.BuildOptions{
		EntryPoints: []string{"test/adapters/node.ts"},
		Outfile:     script,
		Platform:    api.PlatformNode,
		Format:      api.FormatCommonJS,
		Write:       true,
	})
	run := exec.CommandContext(t.Context(), node, "--enable-source-maps", "--test", "--test-reporter=spec", script)
	run.Env = append(os.Environ(), "SERVER="+b.URL, "ELSEWHERE="+b.Elsewhere)
	text, err := run.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Error(err)
	}
}

// An app that says session: false to axios, or hands uploadWith(auth) to a component, is
// checked, too.
func TestTheAdaptersAreTyped(t *testing.T) {
	needPackages(t)
	text, err := exec.CommandContext(t.Context(), "node_modules/.bin/tsc", "--project", "test/adapters").CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, text)
	}
}

func needPackages(t *testing.T) {
	t.Helper()
	if _, err := os.Stat("node_modules/axios"); err != nil {
		need.Missing(t, "axios")
	}
}
