package tandem_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// echo makes the API answer with the body that it was sent.
func (w *world) echo() {
	w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != testserver.Hello || r.Header.Get("Authorization") != "Bearer "+w.kept().AccessToken {
			return false // the real answer: 401 where the token has run out
		}
		_, _ = io.Copy(rw, r.Body)
		return true
	})
}

// once is a body that can be read only once, and says how often it was closed.
type once struct {
	io.Reader
	closed int
}

func (o *once) Close() error { o.closed++; return nil }

func post(client *http.Client, body io.Reader) (string, error) {
	resp, err := client.Post(testserver.URL+testserver.Hello, "text/plain", body)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}

func TestABodyIsSentAgainIfItCanBe(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		w.refuseOnce()
		text, err := post(w.session.Client(), strings.NewReader("the whole body"))
		if err != nil || text != "the whole body" {
			w.Errorf("got %q, %v", text, err)
		}
		if got := w.session.Stats().Replays; got != 1 {
			w.Errorf("%d replays, want 1", got)
		}
	})
}

// refuseOnce makes the API refuse the token in use, having read half the body,
// and echo afterwards.
func (w *world) refuseOnce() {
	old := w.kept().AccessToken
	w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != testserver.Hello {
			return false
		}
		if r.Header.Get("Authorization") == "Bearer "+old {
			_, _ = io.CopyN(io.Discard, r.Body, 5)
			rw.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(rw, "not with that one")
			return true
		}
		_, _ = io.Copy(rw, r.Body)
		return true
	})
}

func TestAOneShotBodyIsNeverSentHalfRead(t *testing.T) {
	t.Run("refused: the caller is told, and the token is fresh for its own retry", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.age()
			w.refuseOnce()
			body := &once{Reader: strings.NewReader("the whole body")}
			_, err := post(w.session.Client(), body)
			var refused *tandem.BodyNotReplayableError
			if !errors.As(err, &refused) {
				w.Fatalf("got %v, want a BodyNotReplayableError", err)
			}
			text, _ := io.ReadAll(refused.Response.Body)
			if refused.Response.StatusCode != http.StatusUnauthorized || string(text) != "not with that one" {
				w.Errorf("the answer in the error: %d %q", refused.Response.StatusCode, text)
			}
			w.expectServed(testserver.Hello, 1)
			w.expectServed(testserver.Refresh, 1)
			again := &once{Reader: strings.NewReader("the whole body")}
			if got, err := post(w.session.Client(), again); err != nil || got != "the whole body" {
				w.Errorf("the caller's own retry: %q, %v", got, err)
			}
		})
	})
	t.Run("about to expire: refreshed before it is sent", func(t *testing.T) {
		inWorld(t, func(w *world) {
			w.session = w.open(w.store, func(c *tandem.Config) { c.RefreshAhead = 0 })
			time.Sleep(testserver.AccessTTL - time.Second)
			w.echo()
			body := &once{Reader: strings.NewReader("the whole body")}
			if got, err := post(w.session.Client(), body); err != nil || got != "the whole body" {
				w.Errorf("got %q, %v", got, err)
			}
			w.expectServed(testserver.Refresh, 1)
			w.expectServed(testserver.Hello, 1)
		})
	})
	t.Run("the body is closed even if it is not sent", func(t *testing.T) {
		inWorld(t, func(w *world) {
			if err := w.session.SignOut(w.Context()); err != nil {
				w.Fatal(err)
			}
			body := &once{Reader: strings.NewReader("x")}
			if _, err := post(w.session.Client(), body); err == nil {
				w.Error("no error")
			}
			if body.closed == 0 {
				w.Error("the body was left open")
			}
		})
	})
}

func TestEveryAnswerThatIsNotHandedOnIsClosed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		w.refuseOnce()
		counting := &closeCounter{base: w.server.Transport()}
		client := &http.Client{Transport: w.session.Transport(counting)}
		if _, err := get(client, testserver.URL+testserver.Hello); err != nil {
			w.Fatal(err)
		}
		if counting.opened != 2 || counting.closed != 2 {
			w.Errorf("%d answers, %d of them closed", counting.opened, counting.closed)
		}
	})
}

type closeCounter struct {
	base           http.RoundTripper
	opened, closed int
}

func (c *closeCounter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.base.RoundTrip(req)
	if err == nil {
		c.opened++
		resp.Body = &countedBody{resp.Body, c}
	}
	return resp, err
}

type countedBody struct {
	io.ReadCloser
	counter *closeCounter
}

func (b *countedBody) Close() error {
	b.counter.closed++
	return b.ReadCloser.Close()
}

func TestForbiddenIsNoReasonToRefresh(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(testserver.Hello, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
		if status, err := w.hello(w.session); status != http.StatusForbidden || err != nil {
			w.Errorf("got %d, %v", status, err)
		}
		w.expectServed(testserver.Refresh, 0)
	})
}

// An API that refuses whatever it is given must not make the client refresh for
// every request.
func TestAFreshTokenThatIsRefusedMakesNoLoop(t *testing.T) {
	inWorld(t, func(w *world) {
		w.answer(testserver.Hello, func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusUnauthorized) })
		w.age()
		for range 20 {
			if status, err := w.hello(w.session); status != http.StatusUnauthorized || err != nil {
				w.Fatalf("got %d, %v; want the 401 itself", status, err)
			}
		}
		w.expectServed(testserver.Refresh, 1)
		w.expire()
		if status, _ := w.hello(w.session); status != http.StatusUnauthorized {
			w.Errorf("got %d", status)
		}
		w.expectServed(testserver.Refresh, 2)
		w.expectServed(testserver.Hello, 22) // the one replay, and not one more
	})
}

// The same 401 from a session that has really ended is found out a little later.
func TestAnEndRightAfterARefreshIsNoticed(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expire()
		w.mustHello(w.session)
		w.endAtServer()
		if got := w.together(5); got.ended != 5 {
			w.Errorf("%+v", got)
		}
		w.expectEnds("revoked")
	})
}

func TestTokensGoToTheConfiguredOriginsAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		seen := map[string]string{}
		spy := roundTrip(func(req *http.Request) (*http.Response, error) {
			seen[req.URL.Scheme+"://"+req.URL.Host] = req.Header.Get("Authorization")
			rec := httptest.NewRecorder()
			if req.URL.Path == "/away" {
				http.Redirect(rec, req, req.URL.Query().Get("to"), http.StatusTemporaryRedirect)
			}
			return rec.Result(), nil
		})
		s := w.open(w.store, func(c *tandem.Config) { c.Origins = []string{"https://api.test:8443"} })
		client := &http.Client{Transport: s.Transport(spy)}
		for _, url := range []string{
			"http://tandem.test/x", "http://TANDEM.test:80/x", "https://api.test:8443/x", // ours
			"https://tandem.test/x", "http://tandem.test:81/x", "http://api.test:8443/x", "https://api.test/x",
			"http://tandem.test.evil.test/x", "http://evil.test/?http://tandem.test",
			"http://tandem.test/away?to=http://redirected.test/x",
			"https://api.test:8443/away?to=http://downgraded.test/x",
		} {
			if _, err := get(client, url); err != nil {
				w.Fatal(err)
			}
		}
		want := "Bearer " + w.kept().AccessToken
		for origin, header := range seen {
			ours := origin == "http://tandem.test" || origin == "http://TANDEM.test:80" || origin == "https://api.test:8443"
			if ours != (header == want) || !ours && header != "" {
				w.Errorf("%s: sent a token: %t", origin, header != "")
			}
		}
		if len(seen) != 11 {
			w.Errorf("saw %d origins", len(seen))
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func TestARequestWithItsOwnAuthorizationPassesUntouched(t *testing.T) {
	inWorld(t, func(w *world) {
		req, _ := http.NewRequest(http.MethodGet, testserver.URL+testserver.Hello, http.NoBody)
		req.Header.Set("Authorization", "Basic abc")
		resp, err := w.session.Client().Do(req)
		if err != nil {
			w.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || req.Header.Get("Authorization") != "Basic abc" {
			w.Errorf("status %d, header %q", resp.StatusCode, req.Header.Get("Authorization"))
		}
		w.expectServed(testserver.Refresh, 0)
	})
}

func TestTheSignInEndpointIsNoBusinessOfTheTransport(t *testing.T) {
	inWorld(t, func(w *world) {
		resp, err := w.session.Client().Post(testserver.URL+testserver.Login, "application/json",
			strings.NewReader(`{"username":"ann","password":"wrong"}`))
		if err != nil {
			w.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized {
			w.Errorf("status %d", resp.StatusCode)
		}
		w.expectServed(testserver.Refresh, 0)
	})
}

func TestTheCallersRequestStaysAsItIs(t *testing.T) {
	inWorld(t, func(w *world) {
		w.age()
		w.refuseOnce()
		req, _ := http.NewRequest(http.MethodGet, testserver.URL+testserver.Hello, http.NoBody)
		resp, err := w.session.Transport(nil).RoundTrip(req)
		if err != nil {
			w.Fatal(err)
		}
		resp.Body.Close()
		if len(req.Header) != 0 {
			w.Errorf("the caller's request was given the header %v", req.Header)
		}
		if resp.Request.Header.Get("Authorization") != "" {
			w.Error("the answer's request has the token in it")
		}
	})
}

func TestInvalidateConcernsTheTokenThatWasRefused(t *testing.T) {
	inWorld(t, func(w *world) {
		first, _ := w.session.Token(w.Context())
		w.session.Invalidate(first)
		second, err := w.session.Token(w.Context())
		if err != nil || second == first {
			w.Fatalf("the refused token came back, %v", err)
		}
		w.session.Invalidate(first) // a late refusal
		if third, _ := w.session.Token(w.Context()); third != second {
			w.Error("a late refusal threw the good token away")
		}
		w.expectServed(testserver.Refresh, 1)
	})
}

func TestNothingPrintedShowsAToken(t *testing.T) {
	inWorld(t, func(w *world) {
		pair := w.kept()
		var text strings.Builder
		for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&text, verb, pair)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "pair", pair)

		w.expire()
		w.answer(testserver.Refresh, func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", "application/json")
			rw.WriteHeader(http.StatusTeapot)
			body, _ := io.ReadAll(r.Body)
			fmt.Fprintf(rw, `{"error":"odd","error_description":%q}`, strings.Repeat("long ", 100))
			_ = body
		})
		_, err := w.session.Token(context.Background())
		fmt.Fprint(&text, err, log.String())
		for _, secret := range []string{pair.AccessToken, pair.RefreshToken} {
			if strings.Contains(text.String(), secret) {
				w.Errorf("a token is printed:\n%s", text.String())
			}
		}
	})
}

func TestOpenNamesTheFieldThatIsWrong(t *testing.T) {
	good := tandem.Config{URL: testserver.URL}
	for name, c := range map[string]struct {
		field  string
		change func(*tandem.Config)
	}{
		"no URL":                {"Config.URL", func(c *tandem.Config) { c.URL = "" }},
		"no scheme":             {"Config.URL", func(c *tandem.Config) { c.URL = "auth.example.com" }},
		"another scheme":        {"Config.URL", func(c *tandem.Config) { c.URL = "ftp://auth.example.com" }},
		"a password in the URL": {"Config.URL", func(c *tandem.Config) { c.URL = "https://ann:nna@auth.example.com" }},
		"an origin with a path": {"Config.Origins", func(c *tandem.Config) { c.Origins = []string{"https://a.test/api"} }},
		"an origin of all":      {"Config.Origins", func(c *tandem.Config) { c.Origins = []string{"*"} }},
		"a negative time limit": {"Config.RefreshTimeout", func(c *tandem.Config) { c.RefreshTimeout = -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			c.change(&config)
			_, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), config)
			if err == nil || !strings.Contains(err.Error(), c.field) || strings.Contains(err.Error(), "nna") {
				t.Errorf("got %v, want it to name %s", err, c.field)
			}
		})
	}
	if _, err := tandem.Open(t.Context(), nil, good); err == nil {
		t.Error("no store: no error")
	}
}

// Clients of several APIs, each with a transport of its own, share one session: one
// refresh is enough for all of them.
func TestClientsOfSeveralAPIsShareOneSession(t *testing.T) {
	inWorld(t, func(w *world) {
		apis := []string{"https://orders.test", "https://files.test", testserver.URL}
		s := w.open(w.store, func(c *tandem.Config) { c.Origins = apis[:2] })
		var clients []*http.Client
		for range apis {
			clients = append(clients, &http.Client{Transport: s.Transport(w.server.Transport())})
		}
		w.expire()
		var calls sync.WaitGroup
		for i, api := range apis {
			for range 10 {
				calls.Go(func() {
					if status, err := get(clients[i], api+testserver.Hello); status != http.StatusOK {
						w.Errorf("%s: status %d, %v", api, status, err)
					}
				})
			}
		}
		calls.Wait()
		w.expectServed(testserver.Refresh, 1)
		w.expectServed(testserver.Hello, 30)
	})
}

// A round tripper returns an answer without a Body, which http.Client allows.
func TestARefusalWithoutABody(t *testing.T) {
	inWorld(t, func(w *world) {
		s := w.session
		client := &http.Client{Transport: s.Transport(roundTrip(func(req *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusUnauthorized, Header: http.Header{}, Request: req}, nil
		}))}
		if status, err := get(client, testserver.URL+testserver.Hello); status != http.StatusUnauthorized || err != nil {
			t.Errorf("%d, %v; want the refusal", status, err)
		}
	})
}

// A URL that cannot be parsed is not quoted: there may be a password in it.
func TestAPasswordInAURLIsNotPrinted(t *testing.T) {
	for _, c := range []tandem.Config{
		{URL: "https://ann:hunter2@auth.example.com:port"},
		{URL: "https://auth.example.com", Origins: []string{"https://ann:hunter2@auth.example.com:port"}},
	} {
		if _, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
}
