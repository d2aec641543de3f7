package tryit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/internal/tryit"
	"github.com/tandem-auth/tandem/server"
)

// A stage is a try-it server, and what a visitor's client does there.
type stage struct {
	*testing.T
	url    string
	events chan server.EventKind
}

func open(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, events: make(chan server.EventKind, 100)}
	d, err := tryit.Open(t.Context(), tryit.Config{
		DataDir: t.TempDir(),
		Listen:  "localhost:0",
		OnEvent: func(e server.Event) { s.events <- e.Kind },
	})
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
	s.url = d.URL()
	return s
}

// A pair is what sign-in and refresh answer with.
type pair struct {
	AccessToken  string `json:"accessToken"`
	RefreshToken string `json:"refreshToken"`
}

// call sends a request and returns the status and the body, or an error if the reply
// broke off.
func (s *stage) call(ctx context.Context, method, path, accessToken string, body any) (int, []byte, error) {
	s.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if accessToken != "" {
		req.Header.Set("Authorization", "Bearer "+accessToken)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, err
}

func (s *stage) expect(status int, method, path, accessToken string, body any) []byte {
	s.Helper()
	got, text, err := s.call(s.Context(), method, path, accessToken, body)
	if err != nil || got != status {
		s.Fatalf("%s %s: status %d, error %v, want %d", method, path, got, err, status)
	}
	return text
}

func (s *stage) signIn(username string) pair {
	s.Helper()
	return s.read(s.expect(200, "POST", "/auth/login", "", map[string]string{"username": username, "password": tryit.Password}))
}

func (s *stage) refresh(from pair) pair {
	s.Helper()
	return s.read(s.expect(200, "POST", "/auth/refresh-token", "", from))
}

func (s *stage) read(text []byte) pair {
	s.Helper()
	var p pair
	if err := json.Unmarshal(text, &p); err != nil || p.RefreshToken == "" {
		s.Fatalf("the answer has no tokens: %v", err)
	}
	return p
}

// A fault is one that a visitor asks for.
type fault struct {
	Kind  string `json:"kind"`
	Delay int64  `json:"delay"`
}

func (s *stage) set(of pair, faults ...fault) {
	s.Helper()
	s.expect(204, "POST", "/try/faults", "", map[string]any{"refreshToken": of.RefreshToken, "faults": faults})
}

// The server has refreshed, and the client does not hear of it: the token that it sent
// before gets through once more.
func TestAReplyIsLost(t *testing.T) {
	s := open(t)
	first := s.signIn("ann")
	s.set(first, fault{Kind: "lost"})
	if _, _, err := s.call(t.Context(), "POST", "/auth/refresh-token", "", first); err == nil {
		t.Fatal("the reply arrived")
	}
	s.refresh(first)
	for _, want := range []server.EventKind{server.EventSignedIn, server.EventRefreshed, server.EventRefreshRetried} {
		if got := <-s.events; got != want {
			t.Errorf("the server says %s, want %s", got, want)
		}
	}
}

// Faults come in the order in which they were asked for, each once, and follow the
// session to its next tokens.
func TestFaultsComeInTurn(t *testing.T) {
	s := open(t)
	first := s.signIn("ann")
	s.set(first, fault{Kind: "slow", Delay: 1}, fault{Kind: "unavailable"}, fault{Kind: "page"})
	second := s.refresh(first)
	s.expect(503, "POST", "/auth/refresh-token", "", second)
	if text := s.expect(200, "POST", "/auth/refresh-token", "", second); text[0] != '<' {
		t.Errorf("the answer is %q, want a page", text)
	}
	s.refresh(second)
}

// A client that gives up does not wait for the delay, nor does the server.
func TestASlowReply(t *testing.T) {
	s := open(t)
	first := s.signIn("ann")
	<-s.events
	s.set(first, fault{Kind: "slow", Delay: 25_000})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-s.events // the server has refreshed
		cancel()
	}()
	if _, _, err := s.call(ctx, "POST", "/auth/refresh-token", "", first); err == nil {
		t.Error("the reply arrived before its time")
	}
	s.refresh(first)
}

// A session's holder cannot ask for the faults of another's.
func TestFaultsOfAnotherSession(t *testing.T) {
	s := open(t)
	ann, bob := s.signIn("ann"), s.signIn("bob")
	s.set(ann, fault{Kind: "unavailable"})
	s.refresh(bob)
	s.expect(503, "POST", "/auth/refresh-token", "", ann)
}

func TestAnAccessTokenIsMadeToExpire(t *testing.T) {
	s := open(t)
	ann, bob := s.signIn("ann"), s.signIn("bob")
	s.expect(200, "GET", "/api/hello?n=1", ann.AccessToken, nil)
	s.expect(204, "POST", "/try/expire", ann.AccessToken, nil)
	s.expect(401, "GET", "/api/hello?n=1", ann.AccessToken, nil)
	s.expect(401, "GET", "/auth/me", ann.AccessToken, nil)
	s.expect(200, "GET", "/auth/me", bob.AccessToken, nil)
	s.expect(200, "GET", "/api/hello?n=1", s.refresh(ann).AccessToken, nil)
}

func TestFaultsThatThereAreNot(t *testing.T) {
	s := open(t)
	ann := s.signIn("ann")
	for name, body := range map[string]any{
		"no session":   map[string]any{"faults": []fault{{Kind: "lost"}}},
		"another kind": map[string]any{"refreshToken": ann.RefreshToken, "faults": []fault{{Kind: "fire"}}},
		"too slow":     map[string]any{"refreshToken": ann.RefreshToken, "faults": []fault{{Kind: "slow", Delay: time.Hour.Milliseconds()}}},
		"too many":     map[string]any{"refreshToken": ann.RefreshToken, "faults": make([]fault, 11)},
		"no JSON":      "lost",
	} {
		if status, _, err := s.call(t.Context(), "POST", "/try/faults", "", body); err != nil || status != 400 {
			t.Errorf("%s: status %d, error %v, want 400", name, status, err)
		}
	}
	s.expect(400, "POST", "/try/expire", "", nil)
	s.refresh(ann)
}
