// Package guardtest tests what guards an API, in any framework, with the tokens of a real
// server.
package guardtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/server"
)

// Scope is what the users of the server are granted.
const Scope = "orders:read"

// A Server issues tokens, and has a guard that accepts them.
type Server struct {
	*testserver.Server
	Guard *resource.Guard
}

// New starts a server, and a guard that fetches its keys.
func New(t testing.TB) Server {
	t.Helper()
	s := testserver.New(t, func(c *server.Config) { c.Directory = granted{c.Directory} })
	g, err := resource.New(resource.Config{Issuer: testserver.URL, Client: &http.Client{Transport: inproc.Transport{Handler: s}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return Server{s, g}
}

// Token signs ann in, and returns her access token.
func (s Server) Token(t testing.TB) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, testserver.URL+testserver.Login, strings.NewReader(`{"username":"ann","password":"nna"}`))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	var answer struct {
		AccessToken string `json:"accessToken"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.AccessToken == "" {
		t.Fatalf("the sign-in is answered with %d", w.Code)
	}
	return answer.AccessToken
}

// Run tests a handler whose GET /orders is guarded and answers with the user's name.
func Run(t *testing.T, guarded func(g *resource.Guard, scopes ...string) http.Handler) {
	s := New(t)
	token := s.Token(t)
	for _, c := range []struct {
		name, authorization, scope string
		status                     int
		body, challenge            string
	}{
		{"a good token", "Bearer " + token, Scope, http.StatusOK, "ann", ""},
		{"no token", "", Scope, http.StatusUnauthorized, `"error"`, fmt.Sprintf(`Bearer realm=%q, scope=%q`, testserver.URL, Scope)},
		{"another token", "Bearer x", Scope, http.StatusUnauthorized, "malformed", `error="invalid_token"`},
		{"a scope that is missing", "Bearer " + token, "orders:delete", http.StatusForbidden, "orders:delete", `error="insufficient_scope"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			api := httptest.NewServer(guarded(s.Guard, c.scope))
			defer api.Close()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, api.URL+"/orders", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.authorization != "" {
				req.Header.Set("Authorization", c.authorization)
			}
			resp, err := api.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			challenge := resp.Header.Get("WWW-Authenticate")
			if resp.StatusCode != c.status || !bytes.Contains(body, []byte(c.body)) || !strings.Contains(challenge, c.challenge) {
				t.Errorf("answered with %d, %q, %s; want %d, %q, %s", resp.StatusCode, challenge, body, c.status, c.challenge, c.body)
			}
		})
	}
}

// granted gives everybody the scope.
type granted struct{ server.Directory }

func (g granted) Authenticate(ctx context.Context, name, password string) (server.Identity, error) {
	identity, err := g.Directory.Authenticate(ctx, name, password)
	identity.Scope = Scope
	return identity, err
}
