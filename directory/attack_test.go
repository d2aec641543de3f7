package directory_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// An attacker with two accounts signs in correctly over 20 connections without pause, and
// retries at once when refused. Meanwhile thirty other users sign in once each, from the
// attacker's address or from their own: all of them succeed.
func TestTwoAccountsKeepNobodyElseOut(t *testing.T) {
	for name, own := range map[string]bool{"from one address": false, "from addresses of their own": true} {
		t.Run(name, func(t *testing.T) {
			d, users := newDirectory(t, directory.Config{Memory: 4 << 10, Iterations: 1, Concurrency: 1})
			for i := range 30 {
				add(t, d, fmt.Sprint("stranger", i), right)
			}
			add(t, d, "mallory0", right)
			add(t, d, "mallory1", right)
			url := serve(t, d, users)

			attack, stop := context.WithCancel(t.Context())
			var attackers, strangers, underWay sync.WaitGroup
			underWay.Add(20)
			for i := range 20 {
				attackers.Go(func() {
					client := &http.Client{Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					for first := true; attack.Err() == nil; first = false {
						signIn(attack, client, url, "203.0.113.66", fmt.Sprint("mallory", i%2))
						if first {
							underWay.Done()
						}
					}
				})
			}
			underWay.Wait()

			began := time.Now()
			var in atomic.Int64
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			for i := range 30 {
				strangers.Go(func() {
					addr := "203.0.113.66"
					if own {
						addr = fmt.Sprintf("192.0.2.%d", i+1)
					}
					client := &http.Client{Transport: &http.Transport{}}
					defer client.CloseIdleConnections()
					if signIn(ctx, client, url, addr, fmt.Sprint("stranger", i)) == http.StatusOK {
						in.Add(1)
					}
				})
			}
			strangers.Wait()
			t.Logf("all strangers had their answers after %v", time.Since(began))
			stop()
			attackers.Wait()
			if in.Load() != 30 {
				t.Errorf("%d of 30 strangers were signed in", in.Load())
			}
		})
	}
}

// serve serves a directory over loopback.
func serve(t *testing.T, d *directory.Directory, s server.Store) string {
	t.Helper()
	key, err := server.GenerateSigningKey(server.ES256)
	if err != nil {
		t.Fatal(err)
	}
	refreshKey, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	handler, err := server.New(server.Config{
		Issuer: "https://auth.example.com", Store: s, Directory: d,
		SigningKey: key, RefreshKeys: []rotation.Key{refreshKey},
		TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	if err != nil {
		t.Fatal(err)
	}
	listening := httptest.NewServer(handler)
	t.Cleanup(func() {
		listening.Close()
		if err := handler.Close(); err != nil {
			t.Error(err)
		}
	})
	return listening.URL
}

// signIn returns the status of the answer, or 0 if there was none.
func signIn(ctx context.Context, client *http.Client, url, addr, username string) int {
	body, err := json.Marshal(map[string]string{"username": username, "password": right})
	if err != nil {
		panic(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/auth/login", strings.NewReader(string(body)))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Forwarded-For", addr)
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	_ = res.Body.Close()
	return res.StatusCode
}
