package resource_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/resource"
)

// In these tests the time is that of a bubble: it passes when all goroutines wait.

// nearby returns an issuer without a network, and a guard.
func nearby(t *testing.T) (*issuer, *resource.Guard) {
	t.Helper()
	i := &issuer{TB: t, url: "https://auth.example.com"}
	i.publish(newKey(t, accesstoken.EdDSA))
	return i, i.guard(func(c *resource.Config) { c.Client = i.client() })
}

// client returns one that reaches the issuer without a network.
func (i *issuer) client() *http.Client { return &http.Client{Transport: i} }

// RoundTrip fails while the issuer is down.
func (i *issuer) RoundTrip(r *http.Request) (*http.Response, error) {
	if i.isDown.Load() {
		return nil, errors.New("connection refused")
	}
	return inproc.Transport{Handler: i}.RoundTrip(r)
}

func (i *issuer) expectFetches(want int64) {
	i.Helper()
	if got := i.fetches.Load(); got != want {
		i.Errorf("%d fetches, want %d", got, want)
	}
}

func statusOf(err error) int {
	if e, ok := errors.AsType[*resource.RefusedError](err); ok {
		return e.Status
	}
	return 0
}

func TestAThousandRequestsAtTheStartFetchOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, g := nearby(t)
		token := i.sign()
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := g.Verify(t.Context(), token); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		i.expectFetches(1)
	})
}

// A key that is published and used at once is accepted within a second.
func TestAKeyThatIsNewIsAcceptedWithinASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, g := nearby(t)
		if _, err := g.Verify(t.Context(), i.sign()); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			old := i.keys[0]
			i.publish(newKey(t, accesstoken.EdDSA), old)
			began := time.Now()
			if _, err := g.Verify(t.Context(), i.sign()); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(began); waited > time.Second {
				t.Errorf("it was accepted after %v", waited)
			}
		}
	})
}

// Tokens that name keys which do not exist cause one fetch a second, and no harm: a key
// that is really new is accepted meanwhile.
func TestTenThousandBogusKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, g := nearby(t)
		good := i.sign()
		if _, err := g.Verify(t.Context(), good); err != nil {
			t.Fatal(err)
		}
		stranger := &issuer{TB: t, url: i.url}
		const seconds = 3
		for range seconds {
			var all sync.WaitGroup
			stranger.publish(newKey(t, accesstoken.EdDSA))
			bogus := stranger.sign()
			for range 10_000 / seconds {
				all.Go(func() {
					if _, err := g.Verify(t.Context(), bogus); statusOf(err) != 401 && statusOf(err) != 503 {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if _, err := g.Verify(t.Context(), good); err != nil {
				t.Error(err)
			}
		}
		i.expectFetches(1 + seconds)

		i.publish(newKey(t, accesstoken.EdDSA), i.keys[0])
		began := time.Now()
		if _, err := g.Verify(t.Context(), i.sign()); err != nil || time.Since(began) > time.Second {
			t.Errorf("after the flood: %v, after %v", err, time.Since(began))
		}
	})
}

// While the issuer is away, or answers nonsense, the guard goes on with the keys that it
// has.
func TestAnIssuerThatIsAway(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"down":      nil,
		"503":       func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"a page":    func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<!doctype html>")) },
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys":[]}`)) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 300<<10))) },
		"silent":    func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"elsewhere": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusFound)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				i, g := nearby(t)
				token := func() string { return i.sign(func(c *accesstoken.Claims) { c.ExpiresAt = time.Now().Add(time.Hour) }) }
				if _, err := g.Verify(t.Context(), token()); err != nil {
					t.Fatal(err)
				}
				i.isDown.Store(answer == nil)
				i.fail(answer)
				time.Sleep(24 * time.Hour)
				if _, err := g.Verify(t.Context(), token()); err != nil {
					t.Errorf("after a day: %v", err)
				}

				// Whether a token with a new key is valid, nobody knows.
				i.publish(newKey(t, accesstoken.EdDSA), i.keys[0])
				if _, err := g.Verify(t.Context(), token()); statusOf(err) != http.StatusServiceUnavailable {
					t.Errorf("a new key: %v", err)
				}
				i.isDown.Store(false)
				i.fail(nil)
				began := time.Now()
				if _, err := g.Verify(t.Context(), token()); err != nil || time.Since(began) > 11*time.Second {
					t.Errorf("when the issuer is back: %v after %v", err, time.Since(began))
				}
			})
		})
	}
}

// A guard that starts before its issuer answers 503, and needs no restart.
func TestAGuardThatStartsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{TB: t, url: "https://auth.example.com"}
		i.publish(newKey(t, accesstoken.EdDSA))
		i.isDown.Store(true)
		g := i.guard(func(c *resource.Config) { c.Client = i.client() })
		resp := get(g, nil, "Bearer "+i.sign())
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
			t.Errorf("answered with %d, %v", resp.StatusCode, resp.Header)
		}
		i.isDown.Store(false)
		if _, err := g.Verify(t.Context(), i.sign()); err != nil {
			t.Error(err)
		}
	})
}

// A key that the issuer has withdrawn is not used for longer than its answer's age, not
// even for a token that is in the cache.
func TestARetiredKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i, g := nearby(t)
		token := i.sign()
		if _, err := g.Verify(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		i.publish(newKey(t, accesstoken.EdDSA))
		time.Sleep(5*time.Minute + time.Second) // the answer says 300 seconds
		if _, err := g.Verify(t.Context(), token); !errors.Is(err, accesstoken.ErrUnknownKey) {
			t.Errorf("a token of the retired key: %v", err)
		}
		if _, err := g.Verify(t.Context(), i.sign()); err != nil {
			t.Error(err)
		}
	})
}

// A caller who gives up leaves at once, and does not take the fetch along.
func TestACallerWhoGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &issuer{TB: t, url: "https://auth.example.com"}
		i.publish(newKey(t, accesstoken.EdDSA))
		release := make(chan struct{})
		i.fail(func(w http.ResponseWriter, _ *http.Request) {
			<-release
			_, _ = w.Write([]byte(*i.set.Load()))
		})
		g := i.guard(func(c *resource.Config) { c.Client = i.client() })
		token := i.sign()
		result := make(chan error, 1)
		go func() {
			_, err := g.Verify(t.Context(), token)
			result <- err
		}()
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := g.Verify(hasty, token); statusOf(err) != http.StatusServiceUnavailable {
			t.Errorf("the hasty caller gets %v", err)
		}
		close(release)
		if err := <-result; err != nil {
			t.Errorf("the patient caller gets %v", err)
		}
	})
}
