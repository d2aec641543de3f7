package frontends_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/evanw/esbuild/pkg/api"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// frontEnds bundle a front end for the server at url.
var frontEnds = map[string]func(t *testing.T, url string) string{"tutorial": tutorial, "queue": queue}

// tutorialAddress is the line of the tutorial that its reader is meant to change,
// and the only one that the test does.
const tutorialAddress = `"https://awen.awen.com"`

// tutorial bundles the tutorial's own code.
func tutorial(t *testing.T, url string) string {
	t.Helper()
	source, err := filepath.Abs("testdata/tutorial/request/index.js")
	if err != nil {
		t.Fatal(err)
	}
	return bundle(t, "testdata/tutorial", api.Plugin{Name: "address", Setup: func(build api.PluginBuild) {
		build.OnLoad(api.OnLoadOptions{Filter: `request/index\.js$`}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			text, err := os.ReadFile(source)
			if err != nil {
				return api.OnLoadResult{}, err
			}
			if n := strings.Count(string(text), tutorialAddress); n != 1 {
				return api.OnLoadResult{}, fmt.Errorf("the address is in %s %d times, want once", source, n)
			}
			changed := strings.Replace(string(text), tutorialAddress, strconv.Quote(url), 1)
			return api.OnLoadResult{Contents: &changed}, nil
		})
	}})
}

// queue bundles the front end that keeps its waiting requests in a list.
func queue(t *testing.T, url string) string {
	t.Helper()
	return bundle(t, "testdata/queue", api.Plugin{Name: "address", Setup: func(build api.PluginBuild) {
		build.InitialOptions.Define = map[string]string{"API_URL": strconv.Quote(url)}
	}})
}

// bundle makes one script of a folder's main.js; "@" stands for the folder.
func bundle(t *testing.T, dir string, plugin api.Plugin) string {
	t.Helper()
	if _, err := os.Stat("node_modules/axios"); err != nil {
		need.Missing(t, "axios")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		t.Fatal(err)
	}
	result := api.Build(api.BuildOptions{
		EntryPoints: []string{filepath.Join(abs, "main.js")},
		Bundle:      true,
		Format:      api.FormatIIFE,
		Platform:    api.PlatformBrowser,
		Alias:       map[string]string{"@": abs},
		Plugins:     []api.Plugin{plugin},
	})
	if len(result.Errors) > 0 {
		t.Fatalf("bundle %s: %+v", dir, result.Errors)
	}
	return string(result.OutputFiles[0].Contents)
}
