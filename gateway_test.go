package tandem_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// The requests of ann's session go through a gateway that wants a token of another session,
// which has ended. That says nothing about ann's.
func TestTheEndOfTheGatewaysSession(t *testing.T) {
	inWorld(t, func(w *world) {
		gateway := w.open(tandem.NewMemoryStore()) // of a service of its own
		if err := gateway.SignIn(w.Context(), "bob", "bbo"); err != nil {
			t.Fatal(err)
		}
		if _, err := w.server.Store.EndSubject(context.Background(), "user-bob", "revoked", time.Now()); err != nil {
			t.Fatal(err)
		}
		s := w.open(w.store, func(c *tandem.Config) {
			c.Transport = gatewayTransport{gateway, c.Transport}
		})
		w.expire()
		_, err := w.hello(s)
		w.expectEnds("revoked") // the gateway's
		if w.kept().IsZero() {
			t.Errorf("ann is signed out: %v", err)
		}
	})
}

// A gatewayTransport adds a header of the gateway's.
type gatewayTransport struct {
	gateway *tandem.Session
	base    http.RoundTripper
}

func (g gatewayTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := g.gateway.Token(req.Context())
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Proxy-Authorization", "Bearer "+token)
	return g.base.RoundTrip(req)
}

// Behind such a gateway the server has not heard of a sign-out, and not refused a password.
func TestSignOutBehindAGatewayIsToldLater(t *testing.T) {
	inWorld(t, func(w *world) {
		down := true
		s := w.open(w.store, func(c *tandem.Config) {
			base := c.Transport
			c.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
				if down {
					return nil, &tandem.EndedError{SessionID: "gateway", Reason: "revoked", Err: &tandem.ServerError{Status: 401, Code: "invalid_grant"}}
				}
				return base.RoundTrip(r)
			})
		})
		err := s.SignOut(context.Background())
		if _, ok := errors.AsType[*tandem.TemporaryError](err); !ok {
			t.Errorf("%v is no TemporaryError", err)
		}
		down = false
		_ = s.SignOut(context.Background())
		w.expectServed(testserver.Logout, 1)
		down = true
		if err := s.SignIn(context.Background(), "ann", "nna"); errors.Is(err, tandem.ErrInvalidCredentials) {
			t.Errorf("SignIn: %v", err)
		}
	})
}
