package loglines_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/internal/loglines"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func note(dropped int) []byte { return fmt.Appendf(nil, "%d dropped\n", dropped) }

func write(t *testing.T, w io.Writer, line string) {
	t.Helper()
	if n, err := io.WriteString(w, line); n != len(line) || err != nil {
		t.Fatalf("wrote %d of %d, %v", n, len(line), err)
	}
}

func closeTwice(t *testing.T, w *loglines.Writer) {
	t.Helper()
	for range 2 {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestLinesArriveInOrder(t *testing.T) {
	var got strings.Builder
	w := loglines.New(&got, note)
	if w.Used() {
		t.Error("it is used before anything was written")
	}
	var want strings.Builder
	for i := range 1000 {
		line := fmt.Sprintln("line", i)
		want.WriteString(line)
		write(t, w, line)
	}
	closeTwice(t, w)
	write(t, w, "too late")
	if got.String() != want.String() || !w.Used() {
		t.Errorf("got %d bytes, want %d", got.Len(), want.Len())
	}
	closeTwice(t, loglines.New(&got, note))
}

// While the reader is stalled, Write does not block. When the reader reads again, it gets
// the first megabyte, and the number of dropped lines.
func TestAReaderThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, to := io.Pipe()
		w := loglines.New(to, note)
		line := strings.Repeat("x", 1023) + "\n"
		const written = 5000
		for range written {
			write(t, w, line)
		}
		synctest.Wait() // the goroutine is writing one line, the others wait
		lines := bufio.NewReader(read)
		passed := 0
		for {
			got, err := lines.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if got == line {
				passed++
				continue
			}
			if want := fmt.Sprintf("%d dropped\n", written-passed); got != want {
				t.Errorf("after %d lines: %q, want %q", passed, got, want)
			}
			break
		}
		if passed < 1024 || passed > 1030 {
			t.Errorf("%d lines arrived, want a megabyte", passed)
		}
		closeTwice(t, w)
	})
}

// Close does not wait for ever.
func TestAReaderThatStallsAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		read, to := io.Pipe()
		w := loglines.New(to, note)
		write(t, w, "line\n")
		began := time.Now()
		closeTwice(t, w)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it took %s", took)
		}
		_ = read.Close()
	})
}

// away is a writer whose writes fail while its reader is away.
type away struct {
	mu   sync.Mutex
	away bool
	got  strings.Builder
}

func (a *away) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		return 0, errors.New("broken pipe")
	}
	return a.got.Write(p)
}

func (a *away) set(away bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.away = away
}

func TestAReaderThatGoesAwayAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to := &away{}
		w := loglines.New(to, note)
		for _, step := range []bool{false, true, true, false} {
			to.set(step)
			write(t, w, "line\n")
			synctest.Wait()
		}
		closeTwice(t, w)
		if got := to.got.String(); got != "line\nline\n2 dropped\n" {
			t.Errorf("got %q", got)
		}
	})
}
