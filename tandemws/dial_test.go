package tandemws_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/tandem-auth/tandem/internal/testkit/streamtest"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemws"
)

func TestDial(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		for _, scheme := range []string{"ws", "http"} {
			url := scheme + strings.TrimPrefix(streamtest.URL, "http")
			conn, err := tandemws.Dial(w.Context(), w.Session, url, tandemws.Options{})
			if err != nil {
				t.Fatal(err)
			}
			say(w.Context(), conn.Conn, "hello")
			if _, text, err := conn.Read(w.Context()); string(text) != "hello" {
				t.Errorf("%q, %v", text, err)
			}
			conn.Close(websocket.StatusNormalClosure, "")
		}
	})
}

func TestAConnKnowsWhichTokenWasRefused(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		conn, err := tandemws.Dial(w.Context(), w.Session, streamtest.URL, tandemws.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.CloseNow()
		before, _ := w.Session.Token(w.Context())
		if conn.Lost(websocket.CloseError{Code: websocket.StatusGoingAway}) || conn.Lost(errors.New("reset")) {
			t.Error("that was no refusal")
		}
		w.WantServed(testserver.Refresh, 0)
		for range 2 {
			if !conn.Lost(websocket.CloseError{Code: tandemws.StatusUnauthorized}) {
				t.Error("that was a refusal")
			}
			if after, _ := w.Session.Token(w.Context()); after == before {
				t.Error("the refused token is still in use")
			}
		}
		w.WantServed(testserver.Refresh, 1) // two reports about one token cause one refresh
	})
}

func TestTheTokenGoesNowhereElse(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		for _, url := range []string{"wss://elsewhere.test/stream", "wss://tandem.test/stream", "ws://tandem.test:8080/stream"} {
			err := tandemws.Run(w.Context(), w.Session, url, tandemws.Options{}, until("never"))
			if !errors.Is(err, tandemws.ErrForeignOrigin) {
				t.Errorf("%s: %v", url, err)
			}
		}
		w.Answer(http.StatusFound, http.Header{"Location": {"http://elsewhere.test/stream"}})
		if _, err := tandemws.Dial(w.Context(), w.Session, streamtest.URL, tandemws.Options{}); !errors.Is(err, tandemws.ErrForeignOrigin) {
			t.Errorf("a redirect: %v", err)
		}
		w.WantServed(streamtest.Path, 1)
	})
}

func TestARefusalSaysWhenToTryAgain(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		w.Answer(http.StatusTooManyRequests, http.Header{"Retry-After": {"7"}})
		_, err := tandemws.Dial(w.Context(), w.Session, streamtest.URL+"?key=secret", tandemws.Options{})
		no, ok := errors.AsType[*tandemws.RefusedError](err)
		if !ok || no.Status != http.StatusTooManyRequests || no.RetryAfter != 7*time.Second {
			t.Errorf("got %v", err)
		}
		w.Down()
		_, err = tandemws.Dial(w.Context(), w.Session, streamtest.URL+"?key=secret", tandemws.Options{})
		if err == nil || strings.Contains(err.Error(), "secret") || !strings.Contains(err.Error(), "nobody listens") {
			t.Errorf("got %v", err)
		}
	})
}

// Gateways in front of a WebSocket often answer an expired token with 403.
func TestAStatusThatRefusesTheTokenAsThe401Does(t *testing.T) {
	forbidden := func(resp *http.Response) bool { return resp.StatusCode == http.StatusForbidden }
	expired := func(resp *http.Response) bool {
		text, err := io.ReadAll(resp.Body)
		if resp.Request.Header.Get("Authorization") != "" {
			t.Error("the program sees the access token")
		}
		return err == nil && strings.Contains(string(text), "token expired")
	}
	const always = 100
	for _, c := range []struct {
		name                string
		refused             func(*http.Response) bool
		refusals            int // how many handshakes the server answers with 403
		handshakes, refresh int
		status              int // of the RefusedError; 0 if there is none
	}{
		{"by its status", forbidden, 1, 2, 1, 0},
		{"by what it says", expired, 1, 2, 1, 0},
		{"for a fresh token, too", forbidden, always, 2, 1, http.StatusForbidden},
		{"that is a matter of rights", func(*http.Response) bool { return false }, always, 1, 0, http.StatusForbidden},
		{"that nobody declared one", nil, always, 1, 0, http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			stream := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if int(asked.Add(1)) <= c.refusals {
					http.Error(w, "token expired", http.StatusForbidden)
					return
				}
				echo.ServeHTTP(w, r)
			})
			streamtest.Run(t, stream, func(w *streamtest.World) {
				options := tandemws.Options{Refused: c.refused}
				err := tandemws.Run(w.Context(), w.Session, streamtest.URL, options, func(context.Context, *websocket.Conn) error { return nil })
				no, refused := errors.AsType[*tandemws.RefusedError](err)
				if refused != (c.status != 0) || refused && no.Status != c.status || !refused && err != nil {
					t.Errorf("got %v", err)
				}
				w.WantServed(streamtest.Path, c.handshakes)
				w.WantServed(testserver.Refresh, c.refresh)
			})
		})
	}
}

func TestWhatIsWrongIsNamed(t *testing.T) {
	streamtest.Run(t, echo, func(w *streamtest.World) {
		for want, c := range map[string]struct {
			url     string
			options tandemws.Options
		}{
			"URL: scheme":                      {url: "ftp://tandem.test"},
			"want a ws, wss":                   {url: "/stream"},
			"invalid control character in URL": {url: "ws://\x7f"},
			"Options.Timeout":                  {options: tandemws.Options{Timeout: -1}},
			"Options.PongTimeout":              {options: tandemws.Options{PongTimeout: -1}},
			"Options.MinWait":                  {options: tandemws.Options{MinWait: -1}},
			"Options.MaxWait":                  {options: tandemws.Options{MaxWait: -1}},
			"HTTPClient":                       {options: tandemws.Options{Handshake: websocket.DialOptions{HTTPClient: http.DefaultClient}}},
			"Authorization": {options: tandemws.Options{Handshake: websocket.DialOptions{
				HTTPHeader: http.Header{"authorization": {"Bearer mine"}},
			}}},
		} {
			if c.url == "" {
				c.url = streamtest.URL
			}
			err := tandemws.Run(w.Context(), w.Session, c.url, c.options, until("never"))
			if err == nil || !strings.HasPrefix(err.Error(), "tandemws: ") || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
		if _, err := tandemws.Dial(w.Context(), nil, streamtest.URL, tandemws.Options{}); err == nil {
			t.Error("no session, no error")
		}
		w.WantServed(streamtest.Path, 0)
	})
}
