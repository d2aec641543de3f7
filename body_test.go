package tandem_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

func newFile(t *testing.T, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "body")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// A file is sent again, from where it stood, and closed once.
func TestAFileIsSentAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		w.refuseOnce()
		f := newFile(t, "header: the whole body")
		if _, err := f.Seek(int64(len("header: ")), io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if text, err := post(w.session.Client(), f); err != nil || text != "the whole body" {
			w.Errorf("got %q, %v", text, err)
		}
		if got := w.session.Stats().Replays; got != 1 {
			w.Errorf("%d replays, want 1", got)
		}
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			w.Errorf("the file is open: closing it says %v", err)
		}
	})
}

func TestBodiesThatAreKeptInMemory(t *testing.T) {
	const limit = 14 // len("the whole body")
	keep := func(c *tandem.Config) { c.BufferBodies = limit }
	t.Run("one that fits is sent again", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.age()
			w.refuseOnce()
			body := &once{Reader: strings.NewReader("the whole body")}
			if text, err := post(w.session.Client(), body); err != nil || text != "the whole body" {
				w.Errorf("got %q, %v", text, err)
			}
			if body.closed != 1 {
				w.Errorf("the body was closed %d times", body.closed)
			}
		}, keep)
	})
	t.Run("a longer one streams, whole, and is sent once", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.echo()
			if text, err := post(w.session.Client(), &once{Reader: strings.NewReader("the whole body!")}); err != nil || text != "the whole body!" {
				w.Errorf("got %q, %v", text, err)
			}
			w.age()
			w.refuseOnce()
			_, err := post(w.session.Client(), &once{Reader: strings.NewReader("the whole body!")})
			if refused, ok := errors.AsType[*tandem.BodyNotReplayableError](err); !ok {
				w.Errorf("got %v (%v), want a BodyNotReplayableError", err, refused)
			}
		}, keep)
	})
}

// What the program does not want sent twice gets its 401, and what comes after it is
// sent with another token.
func TestRequestsThatMayNotBeSentTwice(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		w.refuseOnce()
		if text, err := post(w.session.Client(), strings.NewReader("the whole body")); err != nil || text != "not with that one" {
			w.Errorf("got %q, %v", text, err)
		}
		w.expectServed(testserver.Hello, 1)
		if text, err := post(w.session.Client(), strings.NewReader("the whole body")); err != nil || text != "the whole body" {
			w.Errorf("the next one: %q, %v", text, err)
		}
		w.expectServed(testserver.Refresh, 1)
	}, func(c *tandem.Config) {
		c.MayReplay = func(r *http.Request) bool { return r.Method != http.MethodPost }
	})
}

// A gibibyte goes through without ever being in memory; with -short, an eighth of it.
func TestALargeUploadStreams(t *testing.T) {
	const most = 32 << 20
	size := int64(1 << 30)
	if testing.Short() {
		size /= 8
	}
	auth := testserver.New(t)
	received := int64(0)
	auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == testserver.Hello {
			received, _ = io.Copy(io.Discard, r.Body)
			return true
		}
		return false
	})
	listener := httptest.NewServer(auth)
	defer listener.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: listener.URL, Transport: transport, BufferBodies: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", "nna"); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	resp, err := session.Client().Post(listener.URL+testserver.Hello, "application/octet-stream", io.LimitReader(zeros{}, size))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	runtime.ReadMemStats(&after)
	if received != size {
		t.Errorf("%d bytes arrived, want %d", received, size)
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > most {
		t.Errorf("%d MiB were allocated on the way", allocated>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
