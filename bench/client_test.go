package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// answers starts a server that gives these answers one after another, and returns a
// client of it.
func answers(t *testing.T, list ...http.HandlerFunc) *client {
	t.Helper()
	var n atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list[n.Add(1)-1](w, r)
	}))
	t.Cleanup(server.Close)
	c, err := dial(t.Context(), server.Listener.Addr().String(), tandemDialect)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	return c
}

func pair(token string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"refreshToken":%q,"x":1}`, token) }
}

// expect returns a handler that checks the request's body and answers with a token.
func expect(t *testing.T, body, token string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if got, err := io.ReadAll(r.Body); err != nil || string(got) != body {
			t.Errorf("got %s (%v), want %s", got, err, body)
		}
		pair(token)(w, r)
	}
}

func TestAClientUsesTheTokenThatItGot(t *testing.T) {
	c := answers(t, pair("one"), expect(t, `{"refreshToken":"one"}`, "another-1"), expect(t, `{"refreshToken":"another-1"}`, "two"))
	if err := c.signIn("ann", "nna"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.refresh(); err != nil {
			t.Error(err)
		}
	}
}

// An answer that the client cannot use is an error, which shows no token.
func TestBadAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"a refusal":          func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "secret", http.StatusBadRequest) },
		"no token":           func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, `{}`) },
		"an empty token":     pair(""),
		"the same token":     pair("secret"),
		"an escaped token":   pair("secret\n"),
		"an end":             func(w http.ResponseWriter, r *http.Request) { w.Header().Set("Connection", "close"); pair("a")(w, r) },
		"chunks":             func(w http.ResponseWriter, r *http.Request) { pair("a")(w, r); w.(http.Flusher).Flush() },
		"a connection reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"a huge body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100000")
			io.WriteString(w, strings.Repeat("x", 100000))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := answers(t, pair("secret"), answer)
			if err := c.signIn("ann", "nna"); err != nil {
				t.Fatal(err)
			}
			err := c.refresh()
			if err == nil || strings.Contains(err.Error(), "secret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestPercentiles(t *testing.T) {
	var hundred []time.Duration
	for n := range time.Duration(100) {
		hundred = append(hundred, n+1)
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{{hundred, 50, 50}, {hundred, 99, 99}, {hundred[:1], 99, 1}, {hundred[:3], 50, 2}, {nil, 50, 0}} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("p%d of %d: %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestMedians(t *testing.T) {
	report := Report{Targets: []Target{
		{Key: "a", Rounds: []Figures{{RefreshesPerSecond: 10}, {RefreshesPerSecond: 30}, {RefreshesPerSecond: 20}}},
		{Key: PeerKey, Rounds: []Figures{{RefreshesPerSecond: 10}, {RefreshesPerSecond: 10}, {RefreshesPerSecond: 40}}},
	}}
	report.finish()
	if m := report.Targets[0].Median; m.RefreshesPerSecond != 20 || m.ToPeer != 1 {
		t.Errorf("got %+v, want the rate 20 and the ratio 1", m)
	}
}
