package bench

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
)

// A badEndpoint is a token endpoint that answers late, and then that it is busy.
type badEndpoint struct {
	*httptest.Server
	calls atomic.Int64
}

func newBadEndpoint(b *testing.B, takes time.Duration) *badEndpoint {
	e := &badEndpoint{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		e.calls.Add(1)
		time.Sleep(takes)
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	b.Cleanup(e.Close)
	return e
}

// clients returns, for each kind of client, a function that asks for an access token.
// The client's token has expired, and its token endpoint is e.
func clients(b *testing.B, e *badEndpoint) map[string]func(ctx context.Context) error {
	oauth := &oauth2.Config{ClientID: "app", Endpoint: oauth2.Endpoint{TokenURL: e.URL, AuthStyle: oauth2.AuthStyleInParams}}
	expired := &oauth2.Token{AccessToken: token, RefreshToken: "r", Expiry: time.Now().Add(-time.Minute)}
	source := oauth.TokenSource(context.Background(), expired)

	refresher, err := tandem.NewOAuth2(tandem.OAuth2Config{TokenURL: e.URL, ClientID: "app"})
	if err != nil {
		b.Fatal(err)
	}
	session, err := tandem.Open(context.Background(), tandem.NewMemoryStore(), tandem.Config{Refresher: refresher})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { session.Close() })
	if err := session.SignInWith(context.Background(), "ann", tandem.Grant{RefreshToken: "r"}); err != nil {
		b.Fatal(err)
	}
	return map[string]func(ctx context.Context) error{
		"x-oauth2": func(context.Context) error { _, err := source.Token(); return err }, // Token takes no context
		"tandem":   func(ctx context.Context) error { _, err := session.Token(ctx); return err },
	}
}

// BenchmarkThousandCallers measures how many requests a thousand callers make to a
// token endpoint that answers 503 after 2 ms, and how long the last caller waits.
func BenchmarkThousandCallers(b *testing.B) {
	e := newBadEndpoint(b, 2*time.Millisecond)
	for _, name := range []string{"x-oauth2", "tandem"} {
		b.Run(name, func(b *testing.B) {
			var calls int64
			for b.Loop() {
				b.StopTimer()
				ask := clients(b, e)[name]
				before := e.calls.Load()
				b.StartTimer()
				var callers sync.WaitGroup
				for range 1000 {
					callers.Go(func() {
						if ask(context.Background()) == nil {
							b.Error("an endpoint that answers 503 gave a token")
						}
					})
				}
				callers.Wait()
				calls += e.calls.Load() - before
			}
			b.ReportMetric(float64(calls)/float64(b.N), "refreshes/op")
		})
	}
}

// BenchmarkGivingUp measures how long a caller with a context of 50 ms waits for a
// refresh that takes 500 ms.
func BenchmarkGivingUp(b *testing.B) {
	e := newBadEndpoint(b, 500*time.Millisecond)
	for _, name := range []string{"x-oauth2", "tandem"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				ask := clients(b, e)[name]
				b.StartTimer()
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				if ask(ctx) == nil {
					b.Error("an endpoint that answers 503 gave a token")
				}
				cancel()
			}
		})
	}
}
