package tandem_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// A request with its own Authorization is never sent as the session's user, nor after a redirect.
func TestARedirectedRequestWithItsOwnAuthorization(t *testing.T) {
	inWorld(t, func(w *world) {
		const api = "http://api.test"
		var got string
		s := w.open(w.store, func(c *tandem.Config) {
			c.Origins = []string{api}
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "api.test" {
					got = r.Header.Get("Authorization")
					return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
				}
				return base.RoundTrip(r)
			})
		})
		w.answer("/api/old", func(rw http.ResponseWriter, r *http.Request) {
			http.Redirect(rw, r, api+"/x", http.StatusTemporaryRedirect)
		})
		req, _ := http.NewRequest(http.MethodPost, testserver.URL+"/api/old", strings.NewReader("as carol"))
		req.Header.Set("Authorization", "Basic carol")
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if strings.HasPrefix(got, "Bearer ") {
			t.Error("carol's request was sent with ann's access token")
		}
	})
}

// Ann's request is not sent as bob's by way of a redirect elsewhere.
func TestARedirectByWayOfAForeignHost(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.open(w.store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Host == "sso.test" {
					return &http.Response{
						StatusCode: http.StatusTemporaryRedirect, Body: http.NoBody, Request: r,
						Header: http.Header{"Location": {testserver.URL + testserver.Hello}},
					}, nil
				}
				return base.RoundTrip(r)
			})
		})
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/api/old" {
				return false
			}
			_ = s.SignIn(context.Background(), "bob", "bbo")
			http.Redirect(rw, r, "http://sso.test/", http.StatusTemporaryRedirect)
			return true
		})
		resp, err := s.Client().Post(testserver.URL+"/api/old", "text/plain", strings.NewReader("ann's diary"))
		if err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			t.Errorf("ann's request was answered with %q", text)
		}
	})
}
