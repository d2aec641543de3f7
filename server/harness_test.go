package server_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const issuer = "https://auth.example.com"

// people is a directory with the passwords in the clear.
type people map[string]struct {
	password string
	server.Identity
}

func (p people) Authenticate(_ context.Context, username, password string) (server.Identity, error) {
	person, known := p[username]
	if !known || person.password != password {
		return server.Identity{}, server.ErrInvalidCredentials
	}
	return person.Identity, nil
}

func (p people) SubjectOf(_ context.Context, username string) (string, error) {
	return p[username].Subject, nil
}

func somePeople() people {
	return people{
		"alice": {"wonderland", server.Identity{Subject: "u-1", Username: "alice", Scope: "read write"}},
		"bob":   {"builder", server.Identity{Subject: "u-2", Username: "bob"}},
	}
}

// A harness is a server with a real store, a clock that stands still until it
// is moved, and a record of what happened.
type harness struct {
	t      testing.TB
	cfg    server.Config
	server *server.Server
	path   string

	mu     sync.Mutex
	time   time.Time
	events []server.Event
	// requestID is that of the last event.
	requestID string
}

func newHarness(t testing.TB, changes ...func(*server.Config)) *harness {
	t.Helper()
	h := &harness{
		t:    t,
		path: filepath.Join(t.TempDir(), "tandem.db"),
		time: time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC),
	}
	key, err := server.GenerateSigningKey(server.ES256)
	if err != nil {
		t.Fatal(err)
	}
	refreshKey, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	h.cfg = server.Config{
		Issuer:      issuer,
		Store:       openStore(t, h.path),
		Directory:   somePeople(),
		SigningKey:  key,
		RefreshKeys: []rotation.Key{refreshKey},
		OnEvent:     h.record,
		Now:         h.now,
	}
	for _, change := range changes {
		change(&h.cfg)
	}
	h.server = h.start(h.cfg)
	return h
}

func openStore(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts another server.
func (h *harness) start(cfg server.Config) *server.Server {
	h.t.Helper()
	s, err := server.New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			h.t.Error(err)
		}
	})
	return s
}

func (h *harness) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *harness) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

func (h *harness) record(e server.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.requestID, e.RequestID = e.RequestID, "" // random
	h.events = append(h.events, e)
}

// kinds returns what happened since it was last asked.
func (h *harness) kinds() []server.EventKind {
	h.mu.Lock()
	defer h.mu.Unlock()
	var kinds []server.EventKind
	for _, e := range h.events {
		kinds = append(kinds, e.Kind)
	}
	h.events = nil
	return kinds
}

func (h *harness) wantKinds(want ...server.EventKind) {
	h.t.Helper()
	if got := h.kinds(); !slices.Equal(got, want) {
		h.t.Errorf("events %v, want %v", got, want)
	}
}

// An answer is what came back. Its fields are those of every answer there is.
type answer struct {
	status int
	header http.Header
	text   string

	AccessToken      string `json:"accessToken"`
	RefreshToken     string `json:"refreshToken"`
	TokenType        string `json:"tokenType"`
	ExpiresIn        int64  `json:"expiresIn"`
	RefreshExpiresIn int64  `json:"refreshExpiresIn"`
	SessionID        string `json:"sessionId"`

	Subject   string    `json:"subject"`
	Username  string    `json:"username"`
	Scope     string    `json:"scope"`
	ClientID  string    `json:"clientId"`
	ExpiresAt time.Time `json:"expiresAt"`

	Ticket string `json:"ticket"`

	Sessions []sessionAnswer `json:"sessions"`
	Next     string          `json:"next"`

	Error       string `json:"error"`
	Description string `json:"error_description"`
	Reason      string `json:"reason"`
}

type sessionAnswer struct {
	ID            string    `json:"id"`
	Device        string    `json:"device"`
	IP            string    `json:"ip"`
	CreatedAt     time.Time `json:"createdAt"`
	LastRefreshAt time.Time `json:"lastRefreshAt"`
	ExpiresAt     time.Time `json:"expiresAt"`
	Current       bool      `json:"current"`
}

// A request is what a test sends; the zero content type is JSON's if there is a
// body.
type request struct {
	method, path, body string
	header             http.Header
	remote             string
}

func (h *harness) send(req request) answer { return h.sendTo(h.server, req) }

func (h *harness) sendTo(handler http.Handler, req request) answer {
	h.t.Helper()
	r := httptest.NewRequest(req.method, req.path, strings.NewReader(req.body))
	if req.body == "" {
		r = httptest.NewRequest(req.method, req.path, http.NoBody)
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(r.Header, req.header)
	if req.remote != "" {
		r.RemoteAddr = req.remote
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return h.read(w.Result(), w.Body.String())
}

func (h *harness) read(res *http.Response, text string) answer {
	h.t.Helper()
	a := answer{status: res.StatusCode, header: res.Header, text: text}
	if text == "" {
		return a
	}
	if got := res.Header.Get("Content-Type"); got != "application/json" {
		h.t.Errorf("Content-Type %q of %s", got, text)
	}
	if err := json.Unmarshal([]byte(text), &a); err != nil {
		h.t.Errorf("an answer that is not JSON: %v: %s", err, text)
	}
	return a
}

func (h *harness) signIn(username, password string) answer {
	h.t.Helper()
	return h.send(request{method: "POST", path: "/auth/login", body: object("username", username, "password", password)})
}

// signedIn is for tests about what comes after.
func (h *harness) signedIn() answer {
	h.t.Helper()
	a := h.signIn("alice", "wonderland")
	a.want(h.t, 200, "", "")
	h.kinds()
	return a
}

func (h *harness) refresh(token string) answer {
	h.t.Helper()
	return h.send(request{method: "POST", path: "/auth/refresh-token", body: object("refreshToken", token)})
}

func (h *harness) signOut(token string) answer {
	h.t.Helper()
	return h.send(request{method: "POST", path: "/auth/logout", body: object("refreshToken", token)})
}

// call sends a request with an access token.
func (h *harness) call(method, path, token string) answer {
	h.t.Helper()
	return h.send(request{method: method, path: path, header: bearer(token)})
}

func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

func (a answer) want(t testing.TB, status int, code, reason string) {
	t.Helper()
	if a.status != status || a.Error != code || a.Reason != reason {
		t.Fatalf("got %d %s %s, want %d %s %s\n%s", a.status, a.Error, a.Reason, status, code, reason, a.text)
	}
}

// object makes JSON of names and values.
func object(pairs ...string) string {
	m := make(map[string]string)
	for pair := range slices.Chunk(pairs, 2) {
		m[pair[0]] = pair[1]
	}
	text, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// sendWith sends a request whose context is given.
func (h *harness) sendWith(ctx context.Context, req request) {
	h.t.Helper()
	h.sendTo(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.server.ServeHTTP(w, r.WithContext(ctx))
	}), req)
}
