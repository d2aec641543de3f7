package tandem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

const elsewhereURL = "http://elsewhere.test"

// A recorder notes all that is sent to a server, headers and bodies.
type recorder struct {
	http.RoundTripper
	mu   sync.Mutex
	sent strings.Builder
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		body, _ = io.ReadAll(req.Body)
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	r.mu.Lock()
	fmt.Fprintln(&r.sent, req.URL, req.Header, string(body))
	r.mu.Unlock()
	return r.RoundTripper.RoundTrip(req)
}

func (r *recorder) has(text string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Contains(r.sent.String(), text)
}

// withElsewhere is a story in which bob has signed in at another server, on the store of
// ann's session. Her session's requests are recorded.
func withElsewhere(t *testing.T, story func(w *world, sent *recorder, elsewhere *tandem.Session)) {
	t.Helper()
	var sent recorder
	inWorld(t, func(w *world) {
		other := testserver.New(w.T)
		elsewhere := w.open(w.store, func(c *tandem.Config) {
			c.URL, c.Transport = elsewhereURL, other.Transport()
		})
		if err := elsewhere.SignIn(w.Context(), "bob", "bbo"); err != nil {
			w.Fatal(err)
		}
		theirs := w.kept()
		if theirs.Issuer != elsewhereURL {
			w.Fatalf("the stored pair's issuer is %q", theirs.Issuer)
		}
		story(w, &sent, elsewhere)
		for _, theirs := range []tandem.Pair{theirs, w.kept()} {
			if theirs.Issuer == elsewhereURL && (sent.has(theirs.RefreshToken) || sent.has(theirs.AccessToken)) {
				w.Error("ann's server was sent a token of bob's server")
			}
		}
	}, func(c *tandem.Config) {
		sent.RoundTripper = c.Transport
		c.Transport = &sent
	})
}

// Whatever a session does while its store has a pair of another server, it presents
// nothing of that pair and deletes nothing, and says whose pair it has found.
func TestAPairOfAnotherServerIsLeftAlone(t *testing.T) {
	expectOther := func(w *world, err error) {
		w.Helper()
		other, ok := errors.AsType[*tandem.OtherServerError](err)
		if !ok || other.Want != testserver.URL || other.Have != elsewhereURL {
			w.Errorf("got %v, want an OtherServerError that names both servers", err)
		}
	}
	for name, do := range map[string]func(w *world){
		"a request with a token that is good": func(w *world) { w.mustHello(w.session) },
		"a request that needs a refresh": func(w *world) {
			w.expire()
			for range 3 {
				_, err := w.hello(w.session)
				expectOther(w, err)
			}
			w.expectServed(testserver.Refresh, 0)
		},
		"a request whose token is refused": func(w *world) {
			w.endAtServer()
			_, err := w.hello(w.session)
			expectOther(w, err)
		},
		"Reload": func(w *world) {
			expectOther(w, w.session.Reload(w.Context()))
			w.mustHello(w.session)
		},
		"SignOut": func(w *world) {
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Error(err)
			}
			w.expectServed(testserver.Logout, 1)
			if w.session.Status().SignedIn {
				w.Error("signed in, after SignOut")
			}
			_, err := w.session.Token(w.Context())
			expectOther(w, err)
		},
		"a program that starts": func(w *world) {
			s := w.open(w.store)
			if s.Status().SignedIn {
				w.Error("signed in, with a pair of another server")
			}
			_, err := s.Token(w.Context())
			expectOther(w, err)
		},
		"Close": func(w *world) {
			if err := w.session.Close(); err != nil {
				w.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			withElsewhere(t, func(w *world, _ *recorder, elsewhere *tandem.Session) {
				before := w.kept()
				do(w)
				if w.kept() != before {
					w.Errorf("the store has %v, want %v", w.kept(), before)
				}
				w.expectEnds()
				w.expire()
				if _, err := elsewhere.Token(w.Context()); err != nil {
					w.Errorf("bob's session: %v", err)
				}
			})
		})
	}
}

// While ann's session refreshes, bob signs in elsewhere. The pair that ann's server gives
// does not take the place of his.
func TestSomebodySignsInElsewhereDuringARefresh(t *testing.T) {
	withElsewhere(t, func(w *world, _ *recorder, elsewhere *tandem.Session) {
		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			w.Fatal(err)
		}
		w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == testserver.Refresh {
				if err := elsewhere.SignIn(context.Background(), "bob", "bbo"); err != nil {
					w.Error(err)
				}
			}
			return false
		})
		w.expire()
		for range 3 {
			_, _ = w.hello(w.session)
		}
		if w.session.Status().Username == "bob" {
			w.Error("ann's session has adopted bob's pair")
		}
		if got := w.kept(); got.Issuer != elsewhereURL || got.Username != "bob" {
			w.Errorf("the store has %v of %s, want bob's pair", got, got.Issuer)
		}
		w.expectEnds()
	})
}

// Signing in puts a session of the own server in the place of the other one.
func TestSigningInReplacesAPairOfAnotherServer(t *testing.T) {
	withElsewhere(t, func(w *world, _ *recorder, _ *tandem.Session) {
		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			w.Fatal(err)
		}
		if got := w.kept(); got.Issuer != testserver.URL || got.Username != "ann" {
			w.Errorf("the store has %v of %s", got, got.Issuer)
		}
		w.expire()
		w.mustHello(w.session)
	})
}

// A server is the same if its URL is spelled differently, if the session names it as the
// one that it was before, and if an early version has not noted which it was.
func TestWhoseAPairIs(t *testing.T) {
	for name, c := range map[string]struct {
		issuer string // of the stored pair
		url    string
		former []string
		ours   bool
	}{
		"the same":                             {"https://auth.example.com", "https://auth.example.com", nil, true},
		"capitals, the usual port, a slash":    {"https://auth.example.com", "HTTPS://Auth.Example.com:443/", nil, true},
		"another port":                         {"https://auth.example.com", "https://auth.example.com:8443", nil, false},
		"another scheme":                       {"https://auth.example.com", "http://auth.example.com", nil, false},
		"another path":                         {"https://example.com/a", "https://example.com/b", nil, false},
		"another host":                         {"https://auth.example.com", "https://example.com", nil, false},
		"its former name":                      {"https://old.example.com", "https://new.example.com", []string{"https://old.example.com"}, true},
		"its former name, spelled differently": {"https://old.example.com", "https://new.example.com", []string{"https://x.test", "HTTPS://OLD.example.com:443/"}, true},
		"not its former name":                  {"https://other.example.com", "https://new.example.com", []string{"https://old.example.com"}, false},
		"no issuer":                            {"", "https://auth.example.com", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				pair := w.kept()
				pair.Issuer = c.issuer
				store := tandem.NewMemoryStore()
				if _, err := store.CompareAndSwap(w.Context(), tandem.Pair{}, pair); err != nil {
					w.Fatal(err)
				}
				s := w.open(store, func(config *tandem.Config) { config.URL, config.FormerIssuers = c.url, c.former })
				w.expire()
				_, err := s.Token(w.Context())
				_, other := errors.AsType[*tandem.OtherServerError](err)
				if (err == nil) != c.ours || other == c.ours {
					w.Fatalf("got %v; want the pair taken for the session's own: %t", err, c.ours)
				}
				stored, _ := store.Load(w.Context())
				if c.ours && (stored.Issuer == "" || stored.Issuer != strings.ToLower(stored.Issuer) || stored.RefreshToken == pair.RefreshToken) {
					w.Errorf("after a refresh, the stored pair's issuer is %q", stored.Issuer)
				}
			})
		})
	}
}
