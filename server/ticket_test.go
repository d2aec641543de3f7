package server_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/pgstore"
	"github.com/tandem-auth/tandem/store/redisstore"
)

// ticket gets a ticket with an access token.
func (h *harness) ticket(accessToken string) string {
	h.t.Helper()
	a := h.call("POST", "/auth/ticket", accessToken)
	a.want(h.t, 200, "", "")
	if a.Ticket == "" || a.ExpiresIn != 30 || a.header.Get("Cache-Control") != "no-store" {
		h.t.Fatalf("got %s", a.text)
	}
	return a.Ticket
}

// open opens an address with a ticket, as a link does.
func (h *harness) open(guarded http.Handler, ticket string) answer {
	h.t.Helper()
	return h.sendTo(guarded, request{method: "GET", path: "/download?" + url.Values{"ticket": {ticket}}.Encode()})
}

func teapot(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }

func TestATicketOpensOneAddressOnce(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	var got *http.Request
	guarded := h.server.RequireSessionOrTicket(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusTeapot)
	}))
	ticket := h.ticket(a.AccessToken)
	opened := h.sendTo(guarded, request{method: "GET", path: "/film?a=%20b&ticket=" + ticket + "&c;d"})
	opened.want(t, http.StatusTeapot, "", "")
	if opened.header.Get("Cache-Control") != "private" || opened.header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("header %v", opened.header)
	}
	if got.URL.String() != "/film?a=%20b&c;d" || got.RequestURI != "/film?a=%20b&c;d" {
		t.Errorf("the handler sees %s and %s", got.URL, got.RequestURI)
	}
	access, ok := server.FromContext(got.Context())
	if !ok || access.Subject != "u-1" || access.Username != "alice" || access.Scope != "read write" || access.SessionID.String() != a.SessionID ||
		access.ExpiresAt.Sub(h.now()) < 2*time.Hour-time.Second {
		t.Errorf("access %+v, want that of the access token", access)
	}

	again := h.open(guarded, ticket)
	again.want(t, 401, "invalid_ticket", "")
	if !strings.Contains(again.Description, "used already") || again.header.Get("WWW-Authenticate") == "" {
		t.Errorf("got %s", again.text)
	}
	// A page that fetches the same address has its access token.
	h.sendTo(guarded, request{method: "GET", path: "/film", header: bearer(a.AccessToken)}).want(t, http.StatusTeapot, "", "")
	h.sendTo(guarded, request{method: "GET", path: "/film"}).want(t, 401, "invalid_token", "")
}

func TestTicketsThatAreRefused(t *testing.T) {
	h := newHarness(t)
	guarded := h.server.RequireSessionOrTicket(http.HandlerFunc(teapot))
	a := h.signedIn()
	refused := func(ticket, words string) {
		t.Helper()
		got := h.open(guarded, ticket)
		got.want(t, 401, "invalid_ticket", "")
		if !strings.Contains(got.Description, words) {
			t.Errorf("%q does not say %q", got.Description, words)
		}
	}
	refused("", "not a ticket")
	refused(a.AccessToken, "not a ticket")
	refused(a.RefreshToken, "not a ticket")
	stranger := newHarness(t)
	refused(stranger.ticket(stranger.signedIn().AccessToken), "not a ticket")

	two := h.ticket(a.AccessToken)
	h.sendTo(guarded, request{method: "GET", path: "/x?ticket=" + two + "&%74icket=" + two}).want(t, 401, "invalid_ticket", "")
	h.open(guarded, two).want(t, http.StatusTeapot, "", "")

	late := h.ticket(a.AccessToken)
	h.advance(31 * time.Second)
	refused(late, "expired")

	ended := h.ticket(a.AccessToken)
	h.signOut(a.RefreshToken)
	h.open(guarded, ended).want(t, 401, "invalid_token", "signed_out")
	h.call("POST", "/auth/ticket", a.AccessToken).want(t, 401, "invalid_token", "signed_out")
}

// Nothing but an address takes a ticket, and nobody gets one with another.
func TestATicketIsNoAccessToken(t *testing.T) {
	h := newHarness(t)
	ticket := h.ticket(h.signedIn().AccessToken)
	h.call("GET", "/auth/me", ticket).want(t, 401, "invalid_token", "")
	h.call("POST", "/auth/ticket", ticket).want(t, 401, "invalid_token", "")
	h.send(request{method: "GET", path: "/auth/me?ticket=" + ticket}).want(t, 401, "invalid_token", "")
	h.sendTo(h.server.RequireSession(http.HandlerFunc(teapot)), request{method: "GET", path: "/x?ticket=" + ticket}).want(t, 401, "invalid_token", "")
}

// A ticket does not outlive the access token that it was made with.
func TestATicketEndsWithItsAccessToken(t *testing.T) {
	h := newHarness(t, func(c *server.Config) { c.AccessTTL = 10 * time.Second })
	a := h.call("POST", "/auth/ticket", h.signedIn().AccessToken)
	if a.want(t, 200, "", ""); a.ExpiresIn > 11 {
		t.Errorf("good for %d s", a.ExpiresIn)
	}
	h.advance(12 * time.Second)
	h.open(h.server.RequireSessionOrTicket(http.HandlerFunc(teapot)), a.Ticket).want(t, 401, "invalid_ticket", "")
}

// Two requests bring one ticket at the same moment, to two servers that share a store
// where the store allows it. Exactly one passes.
func TestOfParallelRequestsWithOneTicketExactlyOnePasses(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) (first, second server.Store){
		"SQLite": func(t *testing.T) (_, _ server.Store) {
			s := openStore(t, t.TempDir()+"/tandem.db")
			return s, s
		},
		"PostgreSQL": func(t *testing.T) (_, _ server.Store) {
			url := enginetest.Database(t, enginetest.Postgres(t, engines.NoFsync))
			open := func() server.Store {
				s, err := pgstore.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			return open(), open()
		},
		"Redis": func(t *testing.T) (_, _ server.Store) {
			url := enginetest.Redis(t).URL()
			open := func() server.Store {
				s, err := redisstore.Open(context.WithoutCancel(t.Context()), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = s.Close() })
				return s
			}
			return open(), open()
		},
	} {
		t.Run(name, func(t *testing.T) {
			first, second := open(t)
			h := newHarness(t, func(c *server.Config) { c.Store, c.Now = first, time.Now })
			h.cfg.Store = second
			servers := []*server.Server{h.server, h.start(h.cfg)}
			a := h.signedIn()
			for range 10 {
				ticket := h.ticket(a.AccessToken)
				var passed atomic.Int64
				var all sync.WaitGroup
				for i := range 10 {
					all.Go(func() {
						guarded := servers[i%2].RequireSessionOrTicket(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed.Add(1) }))
						h.open(guarded, ticket)
					})
				}
				all.Wait()
				if passed.Load() != 1 {
					t.Errorf("%d requests passed, want 1", passed.Load())
				}
			}
		})
	}
}

// The log never has a ticket, not even of a request that fails.
func TestATicketIsNotLogged(t *testing.T) {
	var log strings.Builder
	h := newHarness(t, func(c *server.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	ticket := h.ticket(h.signedIn().AccessToken)
	h.cfg.Store = downOnce{downStore{h.cfg.Store}, h.cfg.Store.(server.OnceStore)}
	h.server = h.start(h.cfg)
	h.open(h.server.RequireSessionOrTicket(http.HandlerFunc(teapot)), ticket).want(t, 503, "temporarily_unavailable", "")
	if !strings.Contains(log.String(), "request failed") || strings.Contains(log.String(), ticket[len(ticket)-20:]) {
		t.Errorf("the log: %s", log.String())
	}
}

type downOnce struct {
	server.Store
	server.OnceStore
}

// Without a store for them there are no tickets.
func TestWithoutAOnceStoreThereAreNoTickets(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	ticket := h.ticket(a.AccessToken)
	h.cfg.Store = struct{ server.Store }{h.cfg.Store}
	h.server = h.start(h.cfg)
	h.call("POST", "/auth/ticket", a.AccessToken).want(t, 404, "not_found", "")
	guarded := h.server.RequireSessionOrTicket(http.HandlerFunc(teapot))
	h.open(guarded, ticket).want(t, 500, "server_error", "")
	h.sendTo(guarded, request{method: "GET", path: "/x", header: bearer(a.AccessToken)}).want(t, http.StatusTeapot, "", "")
}

func ExampleServer_RequireSessionOrTicket() {
	var auth *server.Server // from New

	films := http.StripPrefix("/films/", http.FileServer(http.Dir("films")))
	http.Handle("GET /films/", auth.RequireSessionOrTicket(films))

	// In the page:
	//	const {ticket} = await (await auth.fetch("/auth/ticket", {method: "POST"})).json()
	//	location.href = "/films/1.mp4?ticket=" + ticket
}
