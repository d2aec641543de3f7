//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
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
	memory := memoryWatch{target: newTarget(), process: make(chan int, 1)}
	api := httptest.NewServer(&memory)
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
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			memory.process <- cmd.Process.Pid
			if err := cmd.Wait(); err != nil || !strings.Contains(out.String(), c.want) {
				t.Fatalf("%v\n%s", err, &out)
			}
			<-memory.process
			if peak := memory.peak.Swap(0); peak == 0 || peak > most {
				t.Errorf("it took %d MiB", peak>>20)
			} else {
				t.Logf("it took %d MiB", peak>>20)
			}
		})
	}
	if info, err := os.Stat(got); err != nil || info.Size() != size {
		t.Errorf("the answer is %v, %v", info, err)
	}
}

// memoryWatch is a target that asks, before an answer ends, how much memory its client has
// taken at most. (The operating system's account of an ended process will not do: it
// begins with the memory of the process that started it, which is the test's.)
type memoryWatch struct {
	target  http.Handler
	process chan int // the client's ID; who needs it takes it out and puts it back
	peak    atomic.Int64
}

func (m *memoryWatch) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.target.ServeHTTP(w, r)
	process := <-m.process
	defer func() { m.process <- process }()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process))
	if err != nil {
		return
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int64
	if _, err := fmt.Sscanf(after, "%d kB", &kilobytes); err == nil {
		m.peak.Store(max(m.peak.Load(), kilobytes<<10))
	}
}
