//go:build linux

package main

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What is sent and what is answered streams, however long it is: the command stays
// small, and what arrives is whole.
func TestFetchStreams(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const size, most = 512 << 20, 96 << 20
	p := newProgram(t)
	p.start(t)
	api := httptest.NewServer(newTarget())
	defer api.Close()
	dir := t.TempDir()
	env := append(os.Environ(), "HOME="+dir, "XDG_CONFIG_HOME="+dir)
	big, got := filepath.Join(dir, "big"), filepath.Join(dir, "got")
	if err := writeZeros(big, size); err != nil {
		t.Fatal(err)
	}
	login := exec.CommandContext(t.Context(), p.binary, "login", "http://"+p.address, "-u", "ann", "--origin", api.URL)
	login.Env, login.Stdin = env, strings.NewReader(p.password)
	if out, err := login.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, c := range map[string]struct {
		arguments []string
		stdin     bool
		want      string
	}{
		"a file":             {[]string{"PUT", "/echo", "-d", "@" + big}, false, `"length":536870912`},
		"a file, sent again": {[]string{"PUT", "/once/file", "-d", "@" + big}, false, `"length":536870912`},
		"standard input":     {[]string{"PUT", "/echo", "-d", "@-"}, true, `"chunked":true,"extra":null,"length":536870912`},
		"an answer":          {[]string{"GET", "/zeros/512", "-o", got}, false, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c.arguments[1] = api.URL + c.arguments[1]
			cmd := exec.CommandContext(t.Context(), p.binary, append([]string{"fetch"}, c.arguments...)...)
			cmd.Env = env
			if c.stdin {
				f, err := os.Open(big)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				cmd.Stdin = f
			}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("%v\n%s", err, out)
			}
			if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); !ok || usage.Maxrss<<10 > most {
				t.Errorf("it took %d MiB", usage.Maxrss>>10)
			} else {
				t.Logf("it took %d MiB", usage.Maxrss>>10)
			}
		})
	}
	if info, err := os.Stat(got); err != nil || info.Size() != size {
		t.Errorf("the answer is %v, %v", info, err)
	}
}
