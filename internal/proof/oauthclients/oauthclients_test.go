// Package oauthclients_test refreshes, revokes and asks about tokens with OAuth 2 clients
// that nobody here has written.
package oauthclients_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/internal/testkit/daemontest"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

const password = "correct horse"

// A world is a server with the user ann and the client shop.
type world struct {
	*testing.T
	url, secret string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	place := storage.Folder(t.TempDir())
	d, err := daemon.Open(t.Context(), daemon.Config{
		Store: place, Listen: "localhost:0", Users: directory.Config{Memory: 64, Iterations: 1},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Directory().Add(t.Context(), "ann", password); err != nil {
		t.Fatal(err)
	}
	store, err := place.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	secret, err := clients.New(store).Add(t.Context(), clients.Client{ID: "shop", MayIntrospect: true, Audiences: []string{"https://shop.example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	daemontest.Serve(t, d)
	return &world{t, d.URL(), secret}
}

// signIn returns an access token and a refresh token of ann's.
func (w *world) signIn() (access, refresh string) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), http.MethodPost, w.url+"/auth/login", strings.NewReader(`{"username":"ann","password":"`+password+`"}`))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	var pair struct{ AccessToken, RefreshToken string }
	if err := json.NewDecoder(resp.Body).Decode(&pair); err != nil || pair.RefreshToken == "" {
		w.Fatalf("the sign-in is answered with %d, %v", resp.StatusCode, err)
	}
	return pair.AccessToken, pair.RefreshToken
}

// run has a client in another language do its part.
func (w *world) run(program string, args ...string) {
	w.Helper()
	_, refresh := w.signIn()
	cmd := exec.CommandContext(w.Context(), program, args...)
	cmd.Env = append(os.Environ(), "ISSUER="+w.url, "AUDIENCE="+w.url, "SECRET="+w.secret, "REFRESH_TOKEN="+refresh)
	text, err := cmd.CombinedOutput()
	if err != nil || strings.TrimSpace(string(text)) != "done" {
		w.Errorf("%v\n%s", err, text)
	}
}

func TestClientsInJavaScript(t *testing.T) {
	node := need.Program(t, "node")
	if _, err := os.Stat("node_modules/oauth4webapi"); err != nil {
		need.Missing(t, "oauth4webapi")
	}
	w := newWorld(t)
	for _, client := range []string{"oauth4webapi", "openid-client", "jose"} {
		t.Run(client, func(t *testing.T) { (&world{t, w.url, w.secret}).run(node, "clients.mjs", client) })
	}
}

func TestClientsInPython(t *testing.T) {
	python := "/usr/bin/python3" // that of the Debian packages
	if exec.CommandContext(t.Context(), python, "-c", "import authlib, requests_oauthlib").Run() != nil {
		need.Missing(t, "authlib and requests-oauthlib for Python")
	}
	w := newWorld(t)
	for _, client := range []string{"requests_oauthlib", "authlib"} {
		t.Run(client, func(t *testing.T) { (&world{t, w.url, w.secret}).run(python, "clients.py", client) })
	}
}

// APIs that check our tokens with other libraries.
func TestCheckersInGo(t *testing.T) {
	w := newWorld(t)
	access, _ := w.signIn()
	keySet := w.url + "/.well-known/jwks.json"
	t.Run("go-oidc", func(t *testing.T) {
		verifier := oidc.NewVerifier(w.url, oidc.NewRemoteKeySet(t.Context(), keySet),
			&oidc.Config{ClientID: w.url, SupportedSigningAlgs: []string{oidc.ES256}})
		token, err := verifier.Verify(t.Context(), access)
		if err != nil || token.Subject == "" {
			t.Errorf("%+v, %v", token, err)
		}
	})
	t.Run("keyfunc", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		keys, err := keyfunc.NewDefaultCtx(ctx, []string{keySet})
		if err != nil {
			t.Fatal(err)
		}
		_, err = jwt.Parse(access, keys.Keyfunc, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(w.url), jwt.WithAudience(w.url))
		if err != nil {
			t.Error(err)
		}
	})
}
