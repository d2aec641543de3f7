package server_test

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/pgstore"
)

// newKeyedHarness is a server whose sessions, users and keys are in a database; alice
// may sign in.
func newKeyedHarness(t *testing.T, url string) *harness {
	t.Helper()
	s, err := pgstore.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	master, err := keys.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	manager, err := keys.Open(t.Context(), keys.Config{Store: s, MasterKeys: []keys.MasterKey{master}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = manager.Close() })
	users := directory.New(s, directory.Config{Memory: 64, Iterations: 1})
	if err := users.Add(t.Context(), "alice", "wonderland"); err != nil {
		t.Fatal(err)
	}
	return newHarness(t, func(c *server.Config) {
		c.Store, c.Directory, c.Keys = s, users, manager
		c.SigningKey, c.RefreshKeys = server.SigningKey{}, nil
		c.Now = time.Now
	})
}

// ofAnotherKey returns tokens that a server has made whose keys this one does not
// know yet.
func ofAnotherKey(t *testing.T) (access, refresh string) {
	t.Helper()
	key, err := server.GenerateSigningKey(server.ES256)
	if err != nil {
		t.Fatal(err)
	}
	access, err = accesstoken.Signer{Issuer: issuer, Audience: issuer}.Sign(key,
		accesstoken.Claims{Subject: "u-1", ClientID: "tandem", ExpiresAt: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	refreshKey, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	codec, err := rotation.NewCodec(refreshKey)
	if err != nil {
		t.Fatal(err)
	}
	return access, codec.Encode(rotation.Token{IssuedAt: time.Now()})
}

// While the store is down or hangs, the server answers every request with 503 within
// seconds, also one with a token whose key it does not know.
func TestEveryAnswerWhileTheStoreIsAway(t *testing.T) {
	e := enginetest.Postgres(t, engines.NoFsync)
	url := enginetest.Database(t, e)
	h := newKeyedHarness(t, url)
	a := h.signedIn()
	access, refresh := ofAnotherKey(t)
	paths := map[string]func(ctx context.Context) answer{}
	path := func(name string, req request) {
		paths[name] = func(ctx context.Context) answer {
			return h.sendTo(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.server.ServeHTTP(w, r.WithContext(ctx))
			}), req)
		}
	}
	path("sign in", request{method: "POST", path: "/auth/login", body: object("username", "alice", "password", "wonderland")})
	path("refresh", request{method: "POST", path: "/auth/refresh-token", body: object("refreshToken", a.RefreshToken)})
	path("refresh, unknown key", request{method: "POST", path: "/auth/refresh-token", body: object("refreshToken", refresh)})
	path("sign out", request{method: "POST", path: "/auth/logout", body: object("refreshToken", a.RefreshToken)})
	path("sign out, unknown key", request{method: "POST", path: "/auth/logout", body: object("refreshToken", refresh)})
	path("me", request{method: "GET", path: "/auth/me", header: bearer(a.AccessToken)})
	path("me, unknown key", request{method: "GET", path: "/auth/me", header: bearer(access)})
	path("sessions", request{method: "GET", path: "/auth/sessions", header: bearer(a.AccessToken)})
	path("end all", request{method: "DELETE", path: "/auth/sessions", header: bearer(a.AccessToken)})
	path("readyz", request{method: "GET", path: "/readyz"})

	all := func(t *testing.T, within time.Duration) {
		var waiting sync.WaitGroup
		for name, send := range paths {
			waiting.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				began := time.Now()
				got := send(ctx)
				if got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
					t.Errorf("%s: %d %s", name, got.status, got.text)
				}
				if took := time.Since(began); took > within {
					t.Errorf("%s took %v", name, took)
				}
			})
		}
		waiting.Wait()
	}
	t.Run("it hangs", func(t *testing.T) {
		if testing.Short() {
			t.Skip("takes as long as the time limits of the server")
		}
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE tandem_sessions, tandem_users, tandem_keys, tandem_health"); err != nil {
			t.Fatal(err)
		}
		h.awaitLook(t, access)
		all(t, 12*time.Second)
	})
	t.Run("it is stopped", func(t *testing.T) {
		enginetest.Do(t, e.Stop)
		h.awaitLook(t, access)
		all(t, 8*time.Second)
	})
}

// awaitLook waits until the server looks for unknown keys again, which it does every
// two seconds.
func (h *harness) awaitLook(t *testing.T, unknown string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.server.ServeHTTP(w, r.WithContext(ctx)) })
	for range time.Tick(50 * time.Millisecond) {
		switch got := h.sendTo(handler, request{method: "GET", path: "/auth/me", header: bearer(unknown)}); {
		case ctx.Err() != nil:
			t.Fatalf("a token with an unknown key gets %d %s, or no answer", got.status, got.text)
		case got.status != http.StatusUnauthorized:
			return
		}
	}
}

// A countingStore counts the pings that reach it.
type countingStore struct {
	server.Store

	pings *atomic.Int64
}

func (s countingStore) Ping(ctx context.Context) error {
	s.pings.Add(1)
	time.Sleep(100 * time.Millisecond) // synctest time
	return s.Store.Ping(ctx)
}

// Requests to /readyz cannot overload the store: the server pings it once a second,
// however many clients ask, and disconnect before the answer.
func TestReadyAsksTheStoreOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var pings atomic.Int64
		h := newHarness(t, func(c *server.Config) { c.Store = countingStore{c.Store, &pings} })
		for second := int64(1); second <= 3; second++ {
			var asking sync.WaitGroup
			for i := range 100 {
				asking.Go(func() {
					ctx, hangUp := context.WithTimeout(t.Context(), time.Duration(i)*time.Millisecond)
					defer hangUp()
					h.sendWith(ctx, request{method: "GET", path: "/readyz"})
				})
			}
			asking.Wait()
			h.send(request{method: "GET", path: "/readyz"}).want(t, 200, "", "")
			if got := pings.Load(); got != second {
				t.Fatalf("in second %d the store was asked for time %d", second, got)
			}
			time.Sleep(time.Second)
		}
	})
}
