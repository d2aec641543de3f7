package bench

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/tandem-auth/tandem"
)

// answerAll answers every request at once.
type answerAll struct{}

func (answerAll) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

// handSet sets the header of a program that has only one token.
type handSet struct{ token string }

func (h handSet) RoundTrip(req *http.Request) (*http.Response, error) {
	req.Header.Set("Authorization", "Bearer "+h.token)
	return answerAll{}.RoundTrip(req)
}

const token = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl"

// BenchmarkTransport measures the client's cost of a request with a header set by hand,
// with golang.org/x/oauth2 and with a session; 64 goroutines share one client.
func BenchmarkTransport(b *testing.B) {
	auth := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"accessToken":"`+token+`","refreshToken":"r","tokenType":"Bearer","expiresIn":7200,"sessionId":"s"}`)
	}))
	defer auth.Close()
	session, err := tandem.Open(context.Background(), tandem.NewMemoryStore(), tandem.Config{URL: auth.URL, Transport: auth.Client().Transport})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(context.Background(), "ann", "password"); err != nil {
		b.Fatal(err)
	}
	source := oauth2.ReuseTokenSource(&oauth2.Token{AccessToken: token, Expiry: time.Now().Add(time.Hour)}, nil)
	for _, c := range []struct {
		name      string
		transport http.RoundTripper
	}{
		{"hand-set header", handSet{token}},
		{"x-oauth2", &oauth2.Transport{Source: source, Base: answerAll{}}},
		{"tandem", session.Transport(answerAll{})},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetParallelism(32) // 64 goroutines on two processors
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, auth.URL+"/orders", http.NoBody)
					if err != nil {
						b.Error(err)
						return
					}
					resp, err := c.transport.RoundTrip(req)
					if err != nil {
						b.Error(err)
						return
					}
					_ = resp.Body.Close()
				}
			})
		})
	}
}
