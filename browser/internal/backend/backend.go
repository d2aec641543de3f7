// Package backend is what the SDK's adapters and examples talk to in tests: the real
// server, an API, the same API in envelopes, and the files of a front end, on one origin.
package backend

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/server"
)

// The users, and the password of both.
const (
	Ann      = "ann"
	Bob      = "bob"
	Password = "correct horse"
)

const accessTTL = time.Hour

// A Backend is a server that runs until its test ends. Its clock stands still until Expire
// moves it, so that no token runs out because the machine is busy.
type Backend struct {
	// URL is the origin of all but what Elsewhere is.
	URL string
	// Elsewhere is another origin, which is told of no token. Its /headers answers with the
	// request's Authorization.
	Elsewhere string

	t      testing.TB
	server *server.Server
	ahead  atomic.Int64 // of the server's clock, in nanoseconds

	mu     sync.Mutex
	events map[server.EventKind]int
	files  string // a folder
	pages  map[string]string
}

// New starts a backend.
func New(t testing.TB) *Backend {
	t.Helper()
	b := &Backend{t: t, events: map[server.EventKind]int{}, pages: map[string]string{}}
	elsewhere := httptest.NewServer(http.HandlerFunc(headers))
	t.Cleanup(elsewhere.Close)
	b.Elsewhere = elsewhere.URL
	began := time.Now()
	d, err := daemon.Open(t.Context(), daemon.Config{
		Store:      storage.Folder(t.TempDir()),
		Listen:     "localhost:0",
		AccessTTL:  accessTTL,
		SessionTTL: 365 * 24 * time.Hour,
		Users:      directory.Config{Memory: 64, Iterations: 1},
		OnEvent:    b.note,
		Site:       b.site,
		Now:        func() time.Time { return began.Add(time.Duration(b.ahead.Load())) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{Ann, Bob} {
		if err := d.Directory().Add(t.Context(), user, Password); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	b.URL = d.URL()
	return b
}

func (b *Backend) note(e server.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events[e.Kind]++
}

// Count returns how many events of a kind there have been.
func (b *Backend) Count(kind server.EventKind) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[kind]
}

// Expire has all access tokens run out: the API refuses them from now on, although their
// holders think that they are good.
func (b *Backend) Expire() {
	b.ahead.Add(int64(accessTTL + time.Second)) // a token's expiry is rounded up to the second
}

// ServeFiles serves a folder at /. A path without a file is that of the folder's
// index.html: it is a page of the app's router.
func (b *Backend) ServeFiles(folder string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = folder
}

// ServePage serves a page at / that runs a script.
func (b *Backend) ServePage(script string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages["/"] = `<!doctype html><title>test</title><link rel="icon" href="data:,"><body><script src="/script.js"></script>`
	b.pages["/script.js"] = script
}

func (b *Backend) page(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	folder, text := b.files, b.pages[r.URL.Path]
	b.mu.Unlock()
	switch {
	case text != "":
		if filepath.Ext(r.URL.Path) == ".js" {
			w.Header().Set("Content-Type", "text/javascript")
		}
		_, _ = w.Write([]byte(text))
	case folder != "":
		path := filepath.Join(folder, filepath.FromSlash(filepath.Clean(r.URL.Path)))
		if info, err := os.Stat(path); err != nil || info.IsDir() {
			path = filepath.Join(folder, "index.html")
		}
		http.ServeFile(w, r, path)
	default:
		http.NotFound(w, r)
	}
}

func headers(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	w.Header().Set("Access-Control-Allow-Headers", "*, Authorization")
	answer(w, http.StatusOK, map[string]string{"authorization": r.Header.Get("Authorization")})
}
