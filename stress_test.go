package tandem_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// Signing out of what has ended at the server is no error.
func TestSignOutOfASessionThatHasEndedAtTheServer(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endAtServer()
		if err := w.session.SignOut(w.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever was signed out of while the server was away, it is told in the end.
func TestEverySignOutIsToldInTheEnd(t *testing.T) {
	withTextbook(t, func(c *client) {
		away := true
		base := c.oauth2.Transport
		c.oauth2.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
			if away && r.URL.Path == "/revoke" {
				return nil, errors.New("away")
			}
			return base.RoundTrip(r)
		})
		c.oauth2.RevocationURL = revokeURL
		s := c.openOn(c.store)
		_ = s.SignOut(c.Context())
		_ = s.SignInWith(c.Context(), "ann", c.server.next())
		_ = s.SignOut(c.Context())
		away = false
		for range 3 {
			if err := s.SignOut(c.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Join(c.server.revoked, " "); !strings.Contains(got, "refresh-1") || !strings.Contains(got, "refresh-2") {
			t.Errorf("revoked %q alone", got)
		}
	})
}

// Bodies over real connections: HTTP/1 and 2, early refusals, Expect.
func TestBodiesOverRealConnections(t *testing.T) {
	t.Parallel()
	for _, h2 := range []bool{false, true} {
		for _, expect := range []bool{false, true} {
			for _, read := range []bool{false, true} {
				t.Run(fmt.Sprintf("h2=%t expect=%t read=%t", h2, expect, read), func(t *testing.T) {
					t.Parallel()
					auth := testserver.New(t)
					var old string
					srv := httptest.NewUnstartedServer(auth)
					srv.EnableHTTP2 = h2
					if h2 {
						srv.StartTLS()
					} else {
						srv.Start()
					}
					defer srv.Close()
					auth.Script(func(w http.ResponseWriter, r *http.Request) bool {
						if r.URL.Path != testserver.Hello {
							return false
						}
						if r.Header.Get("Authorization") == "Bearer "+old {
							if read {
								_, _ = io.CopyN(io.Discard, r.Body, 100<<10)
							}
							w.WriteHeader(http.StatusUnauthorized)
							return true
						}
						n, _ := io.Copy(io.Discard, r.Body)
						fmt.Fprint(w, n, r.Trailer)
						return true
					})
					tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: h2, ExpectContinueTimeout: time.Second}
					defer tr.CloseIdleConnections()
					s, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{URL: srv.URL, Transport: tr})
					if err != nil {
						t.Fatal(err)
					}
					defer s.Close()
					if err := s.SignIn(t.Context(), "ann", "nna"); err != nil {
						t.Fatal(err)
					}
					old, _ = s.Token(t.Context())
					f := newFile(t, strings.Repeat("x", 200<<10))
					req, _ := http.NewRequest(http.MethodPost, srv.URL+testserver.Hello, f)
					req.ContentLength = 200 << 10
					if expect {
						req.Header.Set("Expect", "100-continue")
					}
					resp, err := s.Client().Do(req)
					if err != nil {
						t.Fatal(err)
					}
					text, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if !strings.HasPrefix(string(text), "204800") {
						t.Errorf("%d %s", resp.StatusCode, text)
					}
					srv.CloseClientConnections()
					tr.CloseIdleConnections()
					if f.Close() == nil {
						t.Error("not closed")
					}
				})
			}
		}
	}
}

// Whatever comes together: nobody is signed out who did not do it, and
// all settle.
func TestManyThingsAtOnce(t *testing.T) {
	t.Parallel()
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			inWorld(t, func(w *world) {
				var mu sync.Mutex
				n := func(k int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(k) }
				w.refreshBadly(n, 3000, 4)
				var store tandem.Store = w.store
				if seed%2 == 1 {
					store = struct{ tandem.Store }{w.store}
				}
				ahead := func(c *tandem.Config) { c.RefreshAhead = time.Duration(n(40)) * time.Second }
				sessions := []*tandem.Session{w.open(store, ahead), w.open(store, ahead), w.open(store)}
				signOuts := seed%3 == 0
				var calls sync.WaitGroup
				for range 8 {
					calls.Go(func() {
						for range 40 {
							s := sessions[n(3)]
							ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+n(60000))*time.Millisecond)
							var err error
							switch k := n(20); {
							case k == 0 && signOuts:
								err = s.SignOut(ctx)
							case k == 1:
								err = s.SignIn(ctx, "ann", "nna")
							case k == 2:
								token, _ := s.Token(ctx)
								s.Invalidate(token)
							default:
								_, err = w.hello(s)
							}
							cancel()
							var ended *tandem.EndedError
							if errors.As(err, &ended) && (!signOuts || ended.Reason != rotation.SignedOut) {
								t.Errorf("a false logout: %v", err)
							}
							time.Sleep(time.Duration(n(20000)) * time.Millisecond)
						}
					})
				}
				calls.Wait()
				w.server.Script(nil)
				time.Sleep(time.Minute)
				if err := sessions[0].SignIn(w.Context(), "ann", "nna"); err != nil {
					t.Fatal(err)
				}
				for _, s := range sessions {
					w.expire()
					w.mustHello(s)
				}
				if got := w.server.Events(server.EventReuseDetected); got != 0 {
					t.Errorf("reuse detected %d times", got)
				}
				if err := sessions[1].SignOut(w.Context()); err != nil {
					t.Error(err)
				}
				w.expire()
				for _, s := range sessions {
					if _, err := s.Token(w.Context()); err == nil {
						t.Error("signed out, and yet a token")
					}
				}
			})
		})
	}
}

// Short programs, one after another in the last fifth of a token's life, share one
// refresh: closing a session does not throw away the one that it has begun.
func TestShortProgramsRefreshAheadInVain(t *testing.T) {
	inWorld(t, func(w *world) {
		before := w.kept()
		w.server.Script(slowly(50 * time.Millisecond))
		time.Sleep(testserver.AccessTTL - 2*time.Second)
		for range 20 {
			s := w.open(w.store, func(c *tandem.Config) { c.RefreshAhead = 0 })
			if _, err := s.Token(context.Background()); err != nil {
				t.Fatal(err)
			}
			synctest.Wait() // the request is out
			s.Close()
			time.Sleep(60 * time.Millisecond)
		}
		if n := w.server.Served(testserver.Refresh); n > 1 {
			t.Errorf("%d refreshes, pair kept: %t", n, w.kept() != before)
		}
	})
}

// refreshBadly makes refreshes take up to so many milliseconds; one in a few is refused,
// and of another the reply is lost. n draws from [0, k).
func (w *world) refreshBadly(n func(k int) int, slowest, few int) {
	w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != testserver.Refresh {
			return false
		}
		time.Sleep(time.Duration(n(slowest)) * time.Millisecond)
		switch n(few) {
		case 0:
			rw.WriteHeader(http.StatusServiceUnavailable)
			return true
		case 1:
			w.server.Server.ServeHTTP(discard{}, r)
			rw.WriteHeader(http.StatusBadGateway)
			return true
		}
		return false
	})
}
