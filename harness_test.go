package tandem_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a real server and one session of ann's on it, in a bubble where
// time passes when all wait.
type world struct {
	*testing.T
	server  *testserver.Server
	store   *tandem.MemoryStore
	session *tandem.Session
	log     *bytes.Buffer
	logger  *slog.Logger

	mu     sync.Mutex
	ends   []*tandem.EndedError // what OnEnd was told
	events []tandem.Event       // what Observe was told
	opened []*tandem.Session
}

// inWorld runs a story in which ann has signed in. Nothing of it may be left
// behind, and no token may have got into the log.
func inWorld(t *testing.T, story func(w *world), changes ...func(*tandem.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: testserver.New(t), store: tandem.NewMemoryStore(), log: &bytes.Buffer{}}
		w.logger = slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		w.session = w.open(w.store, changes...)
		if err := w.session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		story(w)
		for _, s := range w.opened {
			s.Close()
		}
		for _, secret := range []string{"tandem_rt_", "eyJ", "nna"} {
			if strings.Contains(w.log.String(), secret) {
				t.Errorf("the log has %q in it:\n%s", secret, w.log)
			}
		}
	})
}

// open opens a session of its own on a store. Refreshes ahead are off unless a
// story turns them on.
func (w *world) open(store tandem.Store, changes ...func(*tandem.Config)) *tandem.Session {
	w.Helper()
	config := tandem.Config{
		URL:          testserver.URL,
		Transport:    w.server.Transport(),
		RefreshAhead: -1,
		Logger:       w.logger,
		OnEnd: func(_ context.Context, _ *tandem.Session, end *tandem.EndedError) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.ends = append(w.ends, end)
		},
		Observe: func(_ context.Context, e tandem.Event) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	}
	for _, change := range changes {
		change(&config)
	}
	s, err := tandem.Open(context.Background(), store, config)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	w.opened = append(w.opened, s)
	return s
}

// expire lets the access token run out.
func (w *world) expire() { time.Sleep(testserver.AccessTTL) }

// age lets the access token grow old, but not run out.
func (w *world) age() { time.Sleep(testserver.AccessTTL / 2) }

// hello makes one call of the API and returns its status.
func (w *world) hello(s *tandem.Session) (int, error) {
	return get(s.Client(), testserver.URL+testserver.Hello)
}

func get(client *http.Client, url string) (int, error) {
	resp, err := client.Get(url)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// mustHello makes one call, which must be answered with 200.
func (w *world) mustHello(s *tandem.Session) {
	w.Helper()
	if status, err := w.hello(s); err != nil || status != http.StatusOK {
		w.Fatalf("status %d, error %v; want 200", status, err)
	}
}

// outcome counts how many calls came out in which way.
type outcome struct{ answered, refused, temporary, ended, other int }

// together makes n calls at the same moment and waits for all.
func (w *world) together(n int) outcome {
	var mu sync.Mutex
	var all outcome
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			status, err := w.hello(w.session)
			mu.Lock()
			defer mu.Unlock()
			all.count(status, err)
		})
	}
	calls.Wait()
	return all
}

func (o *outcome) count(status int, err error) {
	var temporary *tandem.TemporaryError
	var ended *tandem.EndedError
	switch {
	case err == nil && status == http.StatusOK:
		o.answered++
	case err == nil && status == http.StatusUnauthorized:
		o.refused++
	case errors.As(err, &temporary):
		o.temporary++
	case errors.As(err, &ended):
		o.ended++
	default:
		o.other++
	}
}

// expectServed fails unless so many requests for the path have come in.
func (w *world) expectServed(path string, want int) {
	w.Helper()
	if got := w.server.Served(path); got != want {
		w.Errorf("%s was called %d times, want %d", path, got, want)
	}
}

func (w *world) expectEnds(want ...string) {
	w.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []string
	for _, end := range w.ends {
		got = append(got, string(end.Reason))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		w.Errorf("the application heard of the ends %q, want %q", got, want)
	}
}

// kept returns what the store keeps.
func (w *world) kept() tandem.Pair {
	w.Helper()
	pair, err := w.store.Load(context.Background())
	if err != nil {
		w.Fatal(err)
	}
	return pair
}

// answer scripts the answer to every request for a path.
func (w *world) answer(path string, do http.HandlerFunc) {
	w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		do(rw, r)
		return true
	})
}

// accepts asks the server whether it takes an Authorization header.
func (w *world) accepts(authorization string) bool {
	req := httptest.NewRequest(http.MethodGet, testserver.Hello, http.NoBody)
	req.Header.Set("Authorization", authorization)
	answer := httptest.NewRecorder()
	w.server.RequireSession(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})).ServeHTTP(answer, req)
	return answer.Code == http.StatusOK
}

// endAtServer ends ann's sessions behind the client's back.
func (w *world) endAtServer() {
	w.Helper()
	if _, err := w.server.Store.EndSubject(context.Background(), "user-ann", "revoked", time.Now()); err != nil {
		w.Fatal(err)
	}
}

// inWorldOn is inWorld on a server of other settings.
func inWorldOn(t *testing.T, story func(w *world), settings func(*server.Config)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{T: t, server: testserver.New(t, settings), store: tandem.NewMemoryStore()}
		w.session = w.open(w.store)
		if err := w.session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		story(w)
		for _, s := range w.opened {
			s.Close()
		}
	})
}
