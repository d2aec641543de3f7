package filestore_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/need"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// childTraced makes the test program a process that writes its file on its first
// thread, which strace follows.
const childTraced = "FILESTORE_TEST_TRACED"

// fileCalls are the system calls that a store makes on files; some kernels lack some of
// them.
const fileCalls = "?open,openat,flock,?fstat,?newfstatat,read,write,fsync,close,?rename,?renameat,renameat2,?unlink,unlinkat,?getdents64"

// An onFirstThread is a store whose writes run on the first thread.
type onFirstThread struct {
	*filestore.Store
	writes chan<- func()
}

func (o onFirstThread) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (swapped bool, err error) {
	done := make(chan struct{})
	o.writes <- func() {
		swapped, err = o.Store.CompareAndSwap(ctx, prev, next)
		close(done)
	}
	<-done
	return swapped, err
}

// tracedChild makes one call, and writes the file on the calling thread. Call it on the
// first thread.
func tracedChild(file, url string) {
	runtime.LockOSThread()
	writes, over := make(chan func()), make(chan string)
	go func() {
		over <- callWith(file, url, func(s *filestore.Store) tandem.Store { return onFirstThread{s, writes} })
	}()
	for {
		select {
		case write := <-writes:
			write()
		case answer := <-over:
			fmt.Println(answer)
			return
		}
	}
}

// A systemCall is a system call of the first thread: its name, its number among the
// calls of that name, and strace's line.
type systemCall struct {
	name   string
	number int
	text   string
}

var callLine = regexp.MustCompile(`^(\w+)\(`)

// traced runs a child under strace, with the given injection, and returns the system
// calls on files that its first thread made until it ended.
func traced(t *testing.T, strace, file, url string, arguments ...string) []systemCall {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	arguments = append([]string{"-o", log, "-y", "-e", "trace=" + fileCalls, "-e", "signal=none"}, arguments...)
	cmd := exec.CommandContext(t.Context(), strace, append(arguments, exe)...)
	cmd.Env = append(os.Environ(), childFile+"="+file, childURL+"="+url, childTraced+"=yes")
	cmd.Stderr = t.Output()
	_, _ = cmd.Output() // strace may have killed the process
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var calls []systemCall
	count := map[string]int{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if match := callLine.FindStringSubmatch(lines.Text()); match != nil {
			count[match[1]]++
			calls = append(calls, systemCall{match[1], count[match[1]], lines.Text()})
		}
	}
	return calls
}

// A process is killed at every system call of a write, from opening the lock file to
// releasing the lock. The next process continues the session.
func TestAProcessKilledAtEveryStepOfAWrite(t *testing.T) {
	strace := need.Program(t, "strace")
	auth := testserver.New(t)
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

	var steps []systemCall
	for range 5 { // on a starved machine, the child may give its refresh up
		expire(t, store)
		if steps = stepsOfAWrite(traced(t, strace, file, listener.URL), file); len(steps) > 0 {
			break
		}
	}
	for _, want := range []string{"openat", "flock", "write", "fsync", "rename", "close"} {
		if !strings.Contains(fmt.Sprint(steps), want) {
			t.Errorf("the steps of a write have no %s: %v", want, steps)
		}
	}
	for _, step := range steps {
		killed := false
		for range 5 { // Go's runtime opens a file of the system's now and then, so the count may be off
			expire(t, store)
			calls := traced(t, strace, file, listener.URL, "-e", fmt.Sprintf("inject=%s:signal=KILL:when=%d", step.name, step.number))
			if got := call(file, listener.URL, false); !strings.HasPrefix(got, "200") {
				t.Fatalf("after a kill at %s: %s", step.text, got)
			}
			if killed = len(calls) > 0 && calls[len(calls)-1].name == step.name && calls[len(calls)-1].number == step.number; killed {
				break
			}
		}
		if !killed {
			t.Errorf("the process was not killed at %s", step.text)
		}
	}
	t.Logf("killed at %d steps", len(steps))
	if n := auth.Events(server.EventSessionEnded) + auth.Events(server.EventRefreshRefused); n != 0 {
		t.Errorf("%d ends and refusals", n)
	}
}

// stepsOfAWrite returns the system calls from the swap's lock on.
func stepsOfAWrite(calls []systemCall, file string) []systemCall {
	for i, c := range calls {
		if strings.Contains(c.text, file+".swap") {
			return calls[i:]
		}
	}
	return nil
}

// On a file system without locks, several processes refresh at the same time and keep
// the session.
func TestAFileSystemWithoutLocks(t *testing.T) {
	strace := need.Program(t, "strace")
	for _, failure := range []string{"EOPNOTSUPP", "ENOLCK"} {
		t.Run(failure, func(t *testing.T) {
			auth := testserver.New(t)
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
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			var all []process
			for range 4 {
				all = append(all, start(t, exec.CommandContext(t.Context(), strace, "-f", "-o", os.DevNull,
					"-e", "trace=flock", "-e", "inject=flock:error="+failure, exe), childFile+"="+file, childURL+"="+listener.URL))
			}
			for range 3 {
				expire(t, store)
				for _, p := range all {
					if _, err := io.WriteString(p.in, "go\n"); err != nil {
						t.Fatal(err)
					}
				}
				for _, p := range all {
					if !p.out.Scan() || !strings.HasPrefix(p.out.Text(), "200") {
						t.Fatal(p.out.Text())
					}
				}
			}
			if n := auth.Events(server.EventSessionEnded); n != 0 {
				t.Errorf("%d sessions ended", n)
			}
		})
	}
}
