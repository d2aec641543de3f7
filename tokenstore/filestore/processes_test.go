package filestore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// Environment variables that make the test program one of the processes that share a
// file: the file, the server, and whether the process does without the lock.
const (
	childFile     = "FILESTORE_TEST_FILE"
	childURL      = "FILESTORE_TEST_URL"
	childUnlocked = "FILESTORE_TEST_UNLOCKED"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(childFile); file != "" {
		if os.Getenv(childKeeps) != "" {
			keepingChild(file)
			return
		}
		if os.Getenv(childTraced) != "" {
			tracedChild(file, os.Getenv(childURL))
			return
		}
		child(file, os.Getenv(childURL), os.Getenv(childUnlocked) != "")
		return
	}
	goleak.VerifyTestMain(m)
}

// unlocked hides the lock of a store.
type unlocked struct{ tandem.Store }

// child makes a call with a session of its own for each line of standard input, and
// prints the result.
func child(file, url string, withoutLock bool) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(call(file, url, withoutLock))
	}
}

func call(file, url string, withoutLock bool) string {
	return callWith(file, url, func(s *filestore.Store) tandem.Store {
		if withoutLock {
			return unlocked{s}
		}
		return s
	})
}

func callWith(file, url string, wrap func(*filestore.Store) tandem.Store) string {
	store, err := filestore.Open(file)
	if err != nil {
		return err.Error()
	}
	session, err := tandem.Open(context.Background(), wrap(store), tandem.Config{URL: url})
	if err != nil {
		return err.Error()
	}
	defer session.Close()
	resp, err := session.Client().Get(url + testserver.Hello)
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.Status
}

// A process is a child with its pipes.
type process struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Scanner
}

func startProcess(t *testing.T, env ...string) process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return start(t, exec.CommandContext(t.Context(), exe), env...)
}

func start(t *testing.T, cmd *exec.Cmd, env ...string) process {
	t.Helper()
	cmd.Env, cmd.Stderr = append(os.Environ(), env...), t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return process{cmd, in, bufio.NewScanner(out)}
}

// Ten processes share a file with an expired token: one of them refreshes, and all
// calls succeed, in a hundred of a hundred runs. That also holds for a server with
// one-use refresh tokens, and for Tandem's server without the lock.
func TestTenProcessesOneFile(t *testing.T) {
	const processes = 10
	runs := 100
	if testing.Short() {
		runs = 10
	}
	textbook := func(c *server.Config) { c.RetryWindow, c.Leeway = -1, -1 }
	for name, c := range map[string]struct {
		server   func(*server.Config)
		unlocked string
	}{
		"our server":                        {func(*server.Config) {}, ""},
		"a server of the textbook's":        {textbook, ""},
		"our server, and nobody has a lock": {func(*server.Config) {}, "yes"},
	} {
		t.Run(name, func(t *testing.T) {
			auth := testserver.New(t, c.server)
			listener := httptest.NewServer(auth)
			defer listener.Close()
			file := filepath.Join(t.TempDir(), "session.json")
			store := open(t, file)
			session, err := tandem.Open(t.Context(), store, tandem.Config{URL: listener.URL})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
				t.Fatal(err)
			}
			var all []process
			for range processes {
				all = append(all, startProcess(t, childFile+"="+file, childURL+"="+listener.URL, childUnlocked+"="+c.unlocked))
			}
			for run := range runs {
				expire(t, store)
				before := auth.Events(server.EventRefreshed)
				for _, p := range all {
					if _, err := io.WriteString(p.in, "go\n"); err != nil {
						t.Fatal(err)
					}
				}
				for _, p := range all {
					if !p.out.Scan() || !strings.HasPrefix(p.out.Text(), "200") {
						t.Fatalf("run %d: %s", run, p.out.Text())
					}
				}
				if n := auth.Events(server.EventRefreshed) - before; n != 1 && c.unlocked == "" {
					t.Fatalf("run %d: %d refreshes, want 1", run, n)
				}
			}
			if n := auth.Events(server.EventSessionEnded) + auth.Events(server.EventRefreshRefused); n != 0 {
				t.Errorf("%d ends and refusals", n)
			}
		})
	}
}

// A process is killed in the middle of a refresh: when its request arrives, when the
// answer leaves, and at moments after that while it writes the file. The next process
// continues the session.
func TestAProcessKilledDuringARefresh(t *testing.T) {
	const step, last = 50 * time.Microsecond, 60
	// The loop hands each round to the handler, which takes it at the next refresh.
	type round struct {
		kill   func() error
		moment int
	}
	var pending atomic.Pointer[round]
	auth := testserver.New(t)
	listener := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var now *round
		if r.URL.Path == testserver.Refresh {
			now = pending.Swap(nil)
		}
		if now == nil {
			auth.ServeHTTP(w, r)
			return
		}
		if now.moment < 0 {
			_ = now.kill()
		}
		auth.ServeHTTP(w, r)
		_ = http.NewResponseController(w).Flush()
		if now.moment >= 0 {
			time.AfterFunc(time.Duration(now.moment)*step, func() { _ = now.kill() })
		}
	}))
	defer listener.Close()
	file := filepath.Join(t.TempDir(), "session.json")
	store := open(t, file)
	session, err := tandem.Open(t.Context(), store, tandem.Config{URL: listener.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	finished := 0
	for moment := -1; moment < last; moment++ {
		expire(t, store)
		p := startProcess(t, childFile+"="+file, childURL+"="+listener.URL)
		pending.Store(&round{p.cmd.Process.Kill, moment})
		if _, err := io.WriteString(p.in, "go\n"); err != nil {
			t.Fatal(err)
		}
		if p.out.Scan() { // the process finished before the signal
			finished++
		}
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		if got := call(file, listener.URL, false); !strings.HasPrefix(got, "200") {
			t.Fatalf("after a kill at moment %d: %s", moment, got)
		}
	}
	if finished == last+1 {
		t.Error("no process was killed in time")
	}
	if n := auth.Events(server.EventSessionEnded) + auth.Events(server.EventRefreshRefused); n != 0 {
		t.Errorf("%d ends and refusals", n)
	}
}

// expire makes the stored access token appear expired.
func expire(t *testing.T, s *filestore.Store) {
	t.Helper()
	kept, err := s.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	expired := kept
	expired.ExpiresAt = time.Now().Add(-time.Minute)
	keep(t, s, kept, expired)
}
