package tandem_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/inproc"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/rotation"
)

// simulation of a strict server: a store that fails at random, a server that is slow and busy at random,
// tokens that are refused at random, one process.
func TestSimulatedStrictServer(t *testing.T) {
	bad := map[string]int{}
	for seed := range uint64(200) {
		withTextbook(t, func(c *client) {
			rng := rand.New(rand.NewPCG(seed, 7))
			var mu sync.Mutex
			n := func(k int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(k) }
			c.oauth2.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == "/token" {
					if n(4) == 0 { // busy: it has not looked at the token
						return &http.Response{StatusCode: http.StatusServiceUnavailable, Header: http.Header{"Retry-After": {fmt.Sprint(n(5))}}, Body: http.NoBody, Request: r}, nil
					}
					resp, err := inproc.Transport{Handler: c.server}.RoundTrip(r)
					time.Sleep(time.Duration(n(8000)) * time.Millisecond)
					return resp, err
				}
				return inproc.Transport{Handler: c.server}.RoundTrip(r)
			})
			forever := seed%2 == 0
			c.server.change = func(a map[string]any) {
				if forever {
					delete(a, "expires_in")
				}
			}
			store := &moodyStore{Store: c.store, rng: rand.New(rand.NewPCG(seed, 2)), well: true}
			s := c.openOn(store)
			store.feel(false)
			var calls sync.WaitGroup
			var failed atomic.Bool
			for range 3 {
				calls.Go(func() {
					for range 40 {
						time.Sleep(time.Duration(n(30000)) * time.Millisecond)
						if n(4) == 0 {
							c.server.mu.Lock()
							c.server.access = "refused"
							c.server.mu.Unlock()
						}
						_, err := get(s.Client(), ordersURL)
						if _, ended := errors.AsType[*tandem.EndedError](err); ended {
							failed.Store(true)
							return
						}
					}
				})
			}
			calls.Wait()
			if failed.Load() {
				bad[fmt.Sprint("logout forever=", forever)]++
			}
			store.feel(true)
			seen := map[string]bool{}
			for _, token := range c.server.used {
				if seen[token] {
					bad["twice"]++
					break
				}
				seen[token] = true
			}
		})
	}
	if len(bad) > 0 {
		t.Errorf("of 200 seeds: %v", bad)
	}
}

// simulation of the own server: processes whose stores fail apart from one another; store goes back if goesBack.
func simOwn(t *testing.T, seed uint64) (logout bool) {
	inWorld(t, func(w *world) {
		rng := rand.New(rand.NewPCG(seed, 9))
		var mu sync.Mutex
		n := func(k int) int { mu.Lock(); defer mu.Unlock(); return rng.IntN(k) }
		w.refreshBadly(n, 5000, 5)
		var sessions []*tandem.Session
		const count = 3
		var stores []*moodyStore
		for i := range count {
			m := &moodyStore{Store: w.store, rng: rand.New(rand.NewPCG(seed, uint64(20+i))), well: true}
			var store tandem.Store = m
			stores = append(stores, m)
			sessions = append(sessions, w.open(store))
		}
		for _, m := range stores {
			m.feel(false)
		}
		var calls sync.WaitGroup
		var ended atomic.Bool
		for range 4 {
			calls.Go(func() {
				for range 60 {
					s := sessions[n(count)]
					if n(5) == 0 {
						token, _ := s.Token(context.Background())
						s.Invalidate(token)
					}
					_, err := w.hello(s)
					var end *tandem.EndedError
					if errors.As(err, &end) && end.Reason != rotation.SignedOut {
						ended.Store(true)
						return
					}
					time.Sleep(time.Duration(n(40000)) * time.Millisecond)
				}
			})
		}
		calls.Wait()
		logout = ended.Load()
		for _, m := range stores {
			m.feel(true)
		}
	})
	return logout
}

func TestSimulatedProcesses(t *testing.T) {
	for seed := range uint64(60) {
		if simOwn(t, seed) {
			t.Errorf("seed %d: a false logout", seed)
		}
	}
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
