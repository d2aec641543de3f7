package resource_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/server"
)

// An asked server is a real one that knows the client shop, and counts its questions.
type askedServer struct {
	*testserver.Server
	isDown    atomic.Bool
	questions atomic.Int64
}

const shopSecret = "the shop's own"

type shop struct{}

func (shop) Client(_ context.Context, id string) (server.Client, error) {
	if id != "shop" {
		return server.Client{}, server.ErrUnknownClient
	}
	return server.Client{ID: "shop", SecretHash: server.HashClientSecret(shopSecret), MayIntrospect: true}, nil
}

// asking returns a server and a guard that asks it every ten seconds.
func asking(t *testing.T, changes ...func(*resource.Introspection)) (*askedServer, *resource.Guard) {
	t.Helper()
	s := &askedServer{Server: testserver.New(t, func(c *server.Config) { c.Clients, c.AccessTTL = shop{}, time.Hour })}
	i := &resource.Introspection{ClientID: "shop", Secret: shopSecret}
	for _, change := range changes {
		change(i)
	}
	g, err := resource.New(resource.Config{Issuer: testserver.URL, Introspection: i, Client: &http.Client{Transport: s}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return s, g
}

func (s *askedServer) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path == "/oauth/introspect" {
		s.questions.Add(1)
	}
	if s.isDown.Load() {
		return nil, errors.New("connection refused")
	}
	return inproc.Transport{Handler: s}.RoundTrip(r)
}

// post sends JSON to the server, and returns its answer.
func (s *askedServer) post(t *testing.T, path, body string) (pair struct{ AccessToken, RefreshToken string }) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Code >= http.StatusMultipleChoices {
		t.Fatalf("%s is answered with %d", path, w.Code)
	}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &pair); err != nil {
			t.Fatal(err)
		}
	}
	return pair
}

// A session that is signed out is refused within ten seconds. A thousand requests ask the
// server once.
func TestAGuardThatAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := asking(t)
		pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
		other := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
		thousand := func() {
			t.Helper()
			var all sync.WaitGroup
			for range 1000 {
				all.Go(func() {
					if _, err := g.Verify(t.Context(), pair.AccessToken); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
		}
		for n := range int64(3) {
			thousand()
			if got := s.questions.Load(); got != n+1 {
				t.Errorf("%d questions, want %d", got, n+1)
			}
			time.Sleep(resource.DefaultEvery)
		}
		thousand()
		s.post(t, testserver.Logout, `{"refreshToken":"`+pair.RefreshToken+`"}`)
		thousand() // the last answer still counts
		time.Sleep(resource.DefaultEvery)
		for range 3 {
			if _, err := g.Verify(t.Context(), pair.AccessToken); statusOf(err) != http.StatusUnauthorized || err.Error() != "the session has ended" {
				t.Errorf("after the sign-out: %v", err)
			}
		}
		if _, err := g.Verify(t.Context(), other.AccessToken); err != nil {
			t.Errorf("another session: %v", err)
		}
	})
}

// While the server cannot be asked, nobody knows: 503 or, if the API prefers that, the token
// alone decides.
func TestAServerThatCannotBeAsked(t *testing.T) {
	for _, accept := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, g := asking(t, func(i *resource.Introspection) { i.AcceptIfUnknown = accept })
			pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
			if _, err := g.Verify(t.Context(), pair.AccessToken); err != nil {
				t.Fatal(err)
			}
			s.isDown.Store(true)
			if _, err := g.Verify(t.Context(), pair.AccessToken); err != nil {
				t.Errorf("a moment later: %v", err)
			}
			time.Sleep(resource.DefaultEvery)
			if _, err := g.Verify(t.Context(), pair.AccessToken); (err == nil) != accept || err != nil && statusOf(err) != http.StatusServiceUnavailable {
				t.Errorf("when the answer is too old, accept %t: %v", accept, err)
			}
			s.isDown.Store(false)
			if _, err := g.Verify(t.Context(), pair.AccessToken); err != nil {
				t.Errorf("when the server is back: %v", err)
			}
		})
	}
}

// A guard whose secret is wrong knows nothing about sessions, and ends none.
func TestAGuardThatMayNotAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, g := asking(t, func(i *resource.Introspection) { i.Secret = "wrong" })
		pair := s.post(t, testserver.Login, `{"username":"ann","password":"nna"}`)
		if _, err := g.Verify(t.Context(), pair.AccessToken); statusOf(err) != http.StatusServiceUnavailable {
			t.Errorf("%v, want 503", err)
		}
	})
	for _, i := range []resource.Introspection{{}, {ClientID: "shop"}, {ClientID: "shop", Secret: "x", URL: "x"}, {ClientID: "shop", Secret: "x", Every: -1}} {
		if _, err := resource.New(resource.Config{Issuer: testserver.URL, Introspection: &i}); err == nil || !strings.Contains(err.Error(), "Config.Introspection") {
			t.Errorf("%v", err)
		}
	}
}
