package oauthclients_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

var shell = regexp.MustCompile("(?s)```sh\n(.*?)```")

// The commands in docs/oauth.md do what the page says, in the order of the page.
func TestTheRecipes(t *testing.T) {
	bash := need.Program(t, "bash")
	need.Program(t, "curl")
	for _, page := range []string{"oauth.md", "oauth.zh-CN.md"} {
		t.Run(page, func(t *testing.T) {
			w := newWorld(t)
			_, refresh := w.signIn()
			folder := t.TempDir()
			if err := os.WriteFile(filepath.Join(folder, "shop.secret"), []byte(w.secret), 0o600); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile("../../../docs/" + page)
			if err != nil {
				t.Fatal(err)
			}
			blocks := shell.FindAllStringSubmatch(string(text), -1)
			want := []string{"tandem client", `"access_token"`, `"access_token"`, `"active":true`, ""}
			if len(blocks) != len(want) {
				t.Fatalf("the page has %d commands, want %d", len(blocks), len(want))
			}
			for i, block := range blocks {
				if i == 0 {
					continue // the command's own tests have that
				}
				cmd := exec.CommandContext(t.Context(), bash, "-euc", block[1])
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), "SERVER="+w.url, "REFRESH_TOKEN="+refresh)
				said, err := cmd.CombinedOutput()
				if err != nil || !strings.Contains(string(said), want[i]) {
					t.Errorf("%s\n%v: it does not say %s", block[1], err, want[i])
				}
			}
		})
	}
}
