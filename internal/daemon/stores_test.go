package daemon_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
)

// A site is a store, the daemon on it, and functions that make the store fail.
type site struct {
	*testing.T
	config daemon.Config
	daemon *daemon.Daemon
	stop   func() error
	// save copies the store; goBack replaces the store by that copy. takeAway and
	// bringBack are nil for a store that is part of the daemon.
	save, goBack, takeAway, bringBack func()

	mu     sync.Mutex
	events []server.EventKind
}

func (s *site) start() {
	s.Helper()
	s.daemon = open(s.T, s.config)
	s.config.Listen = s.daemon.Address() // the same after a restart
	s.stop = serve(s.T, s.daemon)
}

func (s *site) halt() {
	s.Helper()
	if err := s.stop(); err != nil {
		s.Fatal(err)
	}
}

// An engine is a database server that package enginetest starts.
type engine interface {
	Start() error
	Stop() error
	Save() error
	GoBack() error
}

// sites makes a site for each kind of store, with the user ann.
func sites(t *testing.T, run func(s *site)) {
	for name, prepare := range map[string]func(s *site){
		"SQLite": func(s *site) {
			path := filepath.Join(s.TempDir(), "tandem.db")
			s.config.Store = storage.Folder(filepath.Dir(path))
			copied := filepath.Join(s.TempDir(), "copy.db")
			s.save = func() { s.backUp(path, copied) }
			s.goBack = func() {
				s.halt()
				enginetest.Do(s, func() error { return os.Rename(copied, path) })
				s.start()
			}
		},
		"PostgreSQL": func(s *site) {
			e := enginetest.Postgres(s)
			s.use(enginetest.Database(s, e), e)
		},
		"Redis": func(s *site) {
			e := enginetest.Redis(s, "--appendonly", "yes", "--appendfsync", "always")
			s.use(e.URL(), e)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := &site{T: t}
			s.config = daemon.Config{Listen: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1}, OnEvent: s.note}
			prepare(s)
			s.start()
			if err := s.daemon.Directory().Add(t.Context(), "ann", password); err != nil {
				t.Fatal(err)
			}
			run(s)
		})
	}
}

func (s *site) use(url string, e engine) {
	s.Helper()
	location, err := storage.Parse(url)
	if err != nil {
		s.Fatal(err)
	}
	master, err := keys.NewMasterKey()
	if err != nil {
		s.Fatal(err)
	}
	s.config.Store, s.config.MasterKeys = location, []keys.MasterKey{master}
	s.save = func() { enginetest.Do(s, e.Stop, e.Save, e.Start) }
	s.goBack = func() { enginetest.Do(s, e.Stop, e.GoBack, e.Start) }
	s.takeAway = func() { enginetest.Do(s, e.Stop) }
	s.bringBack = func() { enginetest.Do(s, e.Start) }
}

// backUp copies a database that is in use, through a handle of its own.
func (s *site) backUp(path, to string) {
	s.Helper()
	store, err := storage.Folder(filepath.Dir(path)).Open(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	defer store.Close()
	if err := store.(interface {
		Backup(ctx context.Context, to string) error
	}).Backup(s.Context(), to); err != nil {
		s.Fatal(err)
	}
}

func (s *site) note(e server.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e.Kind)
}

// signIn returns a session of the real client, and the store that keeps its pair.
func (s *site) signIn() (*tandem.Session, *tandem.MemoryStore) {
	s.Helper()
	transport := &http.Transport{}
	s.Cleanup(transport.CloseIdleConnections)
	store := tandem.NewMemoryStore()
	session, err := tandem.Open(s.Context(), store, tandem.Config{URL: s.daemon.URL(), Transport: transport})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = session.Close() })
	if err := session.SignIn(s.Context(), "ann", password); err != nil {
		s.Fatal(err)
	}
	return session, store
}

// refresh refreshes until the network lets it.
func (s *site) refresh(session *tandem.Session) error {
	before, err := session.Token(s.Context())
	if err == nil {
		session.Invalidate(before)
	}
	for {
		_, err = session.Token(s.Context())
		var temporary *tandem.TemporaryError
		if !errors.As(err, &temporary) {
			return err
		}
		select {
		case <-time.After(time.Until(temporary.RetryAt)):
		case <-s.Context().Done():
			return err
		}
	}
}

func (s *site) post(path, body string) *http.Response {
	s.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Post(s.daemon.URL()+path, "application/json", strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// After a store has gone back to an earlier state, every session goes on, except those
// that had ended before the copy was made. The daemon tells the operator.
func TestAStoreThatGoesBack(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	sites(t, func(s *site) {
		ann, _ := s.signIn()
		out, outStore := s.signIn()
		pair, err := outStore.Load(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		if err := out.SignOut(s.Context()); err != nil {
			s.Fatal(err)
		}
		s.save()
		for range 3 {
			if err := s.refresh(ann); err != nil {
				s.Fatalf("before: %v", err)
			}
		}
		s.goBack()
		for range 3 {
			if err := s.refresh(ann); err != nil {
				s.Fatalf("after: %v", err)
			}
		}
		resp := s.post("/auth/refresh-token", `{"refreshToken":"`+pair.RefreshToken+`"}`)
		if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusBadRequest || !strings.Contains(string(body), "signed_out") {
			s.Errorf("the session that had ended before: %d, %v", resp.StatusCode, err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if !slices.Contains(s.events, server.EventStoreWentBack) {
			s.Errorf("no event %s: %v", server.EventStoreWentBack, s.events)
		}
		if slices.Contains(s.events, server.EventReuseDetected) {
			s.Errorf("a reuse was seen where there was none: %v", s.events)
		}
	})
}

// While the store is down, the server answers 503 with Retry-After. When the store is
// back, the client's session goes on without a restart and without a sign-in.
func TestAStoreThatIsAwayForAWhile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	sites(t, func(s *site) {
		if s.takeAway == nil {
			return // the daemon always reaches a file
		}
		ann, annStore := s.signIn()
		token, err := ann.Token(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		pair, err := annStore.Load(s.Context())
		if err != nil {
			s.Fatal(err)
		}
		s.takeAway()
		if got := fetch(s.daemon.URL() + "/readyz"); !strings.Contains(got, "temporarily_unavailable") {
			s.Errorf("/readyz says %s", got)
		}
		if got := fetch(s.daemon.URL() + "/healthz"); !strings.Contains(got, "ok") {
			s.Errorf("/healthz says %s", got)
		}
		ann.Invalidate(token)
		var temporary *tandem.TemporaryError
		if _, err := ann.Token(s.Context()); !errors.As(err, &temporary) {
			s.Errorf("a refresh while it is away: %v, want a temporary error", err)
		}
		for path, body := range map[string]string{
			"/auth/login":         `{"username":"ann","password":"` + password + `"}`,
			"/auth/refresh-token": `{"refreshToken":"` + pair.RefreshToken + `"}`,
			"/auth/logout":        `{"refreshToken":"` + pair.RefreshToken + `"}`,
		} {
			resp := s.post(path, body)
			if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				s.Errorf("%s while it is away: %d, Retry-After %q", path, resp.StatusCode, resp.Header.Get("Retry-After"))
			}
		}
		s.bringBack()
		if err := s.refresh(ann); err != nil {
			s.Errorf("once it is back: %v", err)
		}
		if got := fetch(s.daemon.URL() + "/readyz"); !strings.Contains(got, "ok") {
			s.Errorf("/readyz says %s", got)
		}
	})
}
