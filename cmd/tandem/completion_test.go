//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// What each shell is told to print: the candidates for its last argument.
var shells = map[string][]string{
	"bash": {"--norc", "-c", `
		source <(tandem completion bash)
		COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
		_tandem
		printf '%s\n' "${COMPREPLY[@]}"`, "bash"},
	// zsh's own part of it shows candidates with what they mean.
	"zsh": {"-f", "-c", `
		compdef() { [[ "$*" == "_tandem tandem" ]] || print unregistered }
		_describe() { print -l -- "${(@P)2%%:*}" }
		_files() { print files }
		source <(tandem completion zsh)
		words=("$@") CURRENT=$#
		_tandem`, "zsh"},
	"fish": {"--no-config", "-c", `
		tandem completion fish | source
		complete -C (string join -- ' ' $argv) | string replace -r '\t.*' ''; or true`},
}

// bash, zsh and fish themselves complete commands, flags, what these take, and the
// names of profiles.
func TestShellsComplete(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	p := newProgram(t)
	home := t.TempDir()
	for _, name := range []string{"work", "home"} {
		folder := filepath.Join(home, "tandem", "profiles", name)
		if err := os.MkdirAll(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "settings.json"), []byte(`{"url":"http://tandem.test"}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(home, "order.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "PATH="+filepath.Dir(p.binary)+":"+os.Getenv("PATH"))
	for shell, arguments := range shells {
		t.Run(shell, func(t *testing.T) {
			path := need.Program(t, shell)
			for line, want := range map[string]string{
				"tandem prof":                      "profiles",
				"tandem user ":                     "add disable enable list passwd recover remove role sign-out unlock",
				"tandem status --off":              "--offline",
				"tandem token --format e":          "exec-credential",
				"tandem status -p ":                "home work",
				"tandem status --json --profile w": "work",
				"tandem fetch P":                   "PATCH POST PUT",
				"tandem fetch POST / -d @or":       "@order.json",
			} {
				cmd := exec.CommandContext(t.Context(), path, append(slices.Clone(arguments), strings.Split(line, " ")...)...)
				cmd.Env, cmd.Dir = env, home
				out, err := cmd.CombinedOutput()
				got := strings.Fields(string(out))
				slices.Sort(got)
				if err != nil || strings.Join(got, " ") != want {
					t.Errorf("%q: %q, %v; want %q", line, got, err, want)
				}
			}
		})
	}
}
