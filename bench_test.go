package tandem_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// answerAll answers every request at once.
type answerAll struct{}

func (answerAll) RoundTrip(req *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: req}, nil
}

// What a request costs that goes through a session, beside one that does not.
func BenchmarkRoundTrip(b *testing.B) {
	server := testserver.New(b)
	session, err := tandem.Open(b.Context(), tandem.NewMemoryStore(), tandem.Config{URL: testserver.URL, Transport: server.Transport()})
	if err != nil {
		b.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(b.Context(), "ann", "nna"); err != nil {
		b.Fatal(err)
	}
	for name, transport := range map[string]http.RoundTripper{
		"bare":    answerAll{},
		"session": session.Transport(answerAll{}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, testserver.URL+testserver.Hello, http.NoBody)
				if err != nil {
					b.Error(err)
					return
				}
				for pb.Next() {
					resp, err := transport.RoundTrip(req)
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
