package server_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// eachDirectory measures with a directory that is asked at sign-ins alone, and with the
// embedded one, which each refresh reads the user from: compare the two.
func eachDirectory(b *testing.B, measure func(b *testing.B, h *harness)) {
	b.Run("directory=at sign-ins", func(b *testing.B) { measure(b, newHarness(b)) })
	b.Run("directory=embedded", func(b *testing.B) {
		measure(b, newHarness(b, func(c *server.Config) {
			d := directory.New(c.Store.(*sqlitestore.Store), directory.Config{Memory: 64, Iterations: 1})
			if err := d.Add(b.Context(), "alice", "wonderland"); err != nil {
				b.Fatal(err)
			}
			c.Directory = d
		}))
	})
}

// BenchmarkRefresh is a session that refreshes as fast as it can: every
// iteration confirms a token, durably, and signs an access token.
func BenchmarkRefresh(b *testing.B) {
	eachDirectory(b, func(b *testing.B, h *harness) {
		token := h.signedIn().RefreshToken
		b.ReportAllocs()
		for b.Loop() {
			a := h.refresh(token)
			a.want(b, 200, "", "")
			token = a.RefreshToken
			h.events = nil
		}
	})
}

// BenchmarkRefreshParallel is many sessions at once.
func BenchmarkRefreshParallel(b *testing.B) { eachDirectory(b, refreshInParallel) }

func refreshInParallel(b *testing.B, h *harness) {
	const parallelism = 32
	sessions := make(chan string, parallelism*runtime.GOMAXPROCS(0))
	for range cap(sessions) {
		sessions <- h.signedIn().RefreshToken
	}
	b.SetParallelism(parallelism)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		token := <-sessions
		for pb.Next() {
			a := h.refresh(token)
			if a.status != 200 {
				b.Errorf("got %d %s", a.status, a.text)
				return
			}
			token = a.RefreshToken
			h.kinds()
		}
	})
}

func BenchmarkMe(b *testing.B) {
	h := newHarness(b)
	r := httptest.NewRequest(http.MethodGet, "/auth/me", strings.NewReader(""))
	r.Header = bearer(h.signedIn().AccessToken)
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.server.ServeHTTP(w, r)
		if w.Code != 200 {
			b.Fatal(w.Body)
		}
	}
}
