package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// A follower reads the feed over a real connection, as an API in any language does.
type follower struct {
	t      *testing.T
	lines  *bufio.Scanner
	cursor string
}

func feedServer(t *testing.T) (*harness, *httptest.Server) {
	t.Helper()
	h := newHarness(t, someClients, func(c *server.Config) { c.Now = time.Now })
	listener := httptest.NewServer(h.server)
	t.Cleanup(func() {
		h.server.Drain()
		listener.Close()
	})
	return h, listener
}

func follow(t *testing.T, url, since string) *follower {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/oauth/ended?since="+since, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header = basic("shop", secret)
	req.Header.Set("Accept", "text/event-stream")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("the feed answers %s, %v", resp.Status, resp.Header)
	}
	return &follower{t: t, lines: bufio.NewScanner(resp.Body)}
}

// next returns the session of the next event.
func (f *follower) next() string {
	f.t.Helper()
	for f.lines.Scan() {
		if id, ok := strings.CutPrefix(f.lines.Text(), "id: "); ok {
			f.cursor = id
		}
		data, ok := strings.CutPrefix(f.lines.Text(), "data: ")
		if !ok || data == "{}" {
			continue
		}
		return sessionOf(f.t, []byte(data))
	}
	f.t.Fatalf("the feed has ended: %v", f.lines.Err())
	return ""
}

// sessionOf returns the session of an event, whose form it checks.
func sessionOf(t *testing.T, text []byte) string {
	t.Helper()
	var event struct {
		Iss, JTI string
		IAT      int64
		SubID    struct {
			Format  string
			Session struct{ Format, ID string }
			User    struct{ Format, Iss, Sub string }
		} `json:"sub_id"`
		Events map[string]struct {
			At     int64 `json:"event_timestamp"`
			Reason string
		}
		AccessExpiresAt int64 `json:"access_exp"`
	}
	if err := json.Unmarshal(text, &event); err != nil {
		t.Fatal(err)
	}
	revoked := event.Events["https://schemas.openid.net/secevent/caep/event-type/session-revoked"]
	if event.Iss != issuer || event.JTI == "" || event.SubID.Format != "complex" || event.SubID.Session.Format != "opaque" ||
		event.SubID.User.Iss != issuer || event.SubID.User.Sub != "u-1" || revoked.Reason == "" || revoked.At == 0 || event.AccessExpiresAt <= revoked.At {
		t.Errorf("an event is %s", text)
	}
	return event.SubID.Session.ID
}

// A follower hears of the ends on this server and on others, of those that are committed
// late, and after it was away of what it missed.
func TestTheFeedTellsOfEveryEnd(t *testing.T) {
	h, listener := feedServer(t)
	first, second, third, fourth := h.signedIn(), h.signedIn(), h.signedIn(), h.signedIn()
	f := follow(t, listener.URL, "")
	h.signOut(first.RefreshToken).want(t, 204, "", "")
	if got := f.next(); got != first.SessionID {
		t.Errorf("the feed tells of %s, want %s", got, first.SessionID)
	}
	// Another server decided about this end five seconds ago, and has been slow.
	id, err := rotation.ParseSessionID(second.SessionID)
	if err != nil {
		t.Fatal(err)
	}
	late := store.End{Reason: rotation.Revoked, At: time.Now().Add(-5 * time.Second)}
	if _, err := h.cfg.Store.End(t.Context(), id, late); err != nil {
		t.Fatal(err)
	}
	if got := f.next(); got != second.SessionID {
		t.Errorf("the feed tells of %s, want %s", got, second.SessionID)
	}

	h.signOut(third.RefreshToken).want(t, 204, "", "") // while this follower is away
	heard := map[string]bool{}
	for again := follow(t, listener.URL, f.cursor); !heard[third.SessionID]; {
		heard[again.next()] = true
	}
	all := follow(t, listener.URL, "") // a new one hears of all that may matter
	for range 3 {
		heard[all.next()] = true
	}
	if len(heard) != 3 || heard[fourth.SessionID] {
		t.Errorf("the followers have heard of %v", heard)
	}
}

// The limits that a program's http.Server sets for all requests do not end the stream.
func TestTheFeedOutlivesTheServersLimits(t *testing.T) {
	h := newHarness(t, someClients, func(c *server.Config) { c.Now = time.Now })
	listener := httptest.NewUnstartedServer(h.server)
	listener.Config.ReadTimeout, listener.Config.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond
	listener.Start()
	t.Cleanup(func() {
		h.server.Drain()
		listener.Close()
	})
	f := follow(t, listener.URL, "")
	for cursors := 0; cursors < 3; {
		if !f.lines.Scan() {
			t.Fatalf("the stream ends after %d seconds: %v", cursors, f.lines.Err())
		}
		if strings.HasPrefix(f.lines.Text(), "id: ") { // every second
			cursors++
		}
	}
}

// A client without event streams asks again and again, with the cursor of the answer before.
func TestTheFeedByPolling(t *testing.T) {
	h, listener := feedServer(t)
	pair := h.signedIn()
	poll := func(since string) (events []json.RawMessage, cursor string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, listener.URL+"/oauth/ended?since="+since, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header = basic("shop", secret)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var answer struct {
			Events []json.RawMessage
			Cursor json.Number
		}
		if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s, %v", resp.Status, err)
		}
		return answer.Events, answer.Cursor.String()
	}
	h.signOut(pair.RefreshToken).want(t, 204, "", "")
	events, cursor := poll("")
	if len(events) != 1 || sessionOf(t, events[0]) != pair.SessionID {
		t.Fatalf("the first answer has %s", events)
	}
	next := h.signedIn()
	answered := make(chan []json.RawMessage, 1)
	go func() {
		events, _ := poll(cursor)
		answered <- events
	}()
	h.signOut(next.RefreshToken).want(t, 204, "", "")
	last := <-answered
	if len(last) == 0 || sessionOf(t, last[len(last)-1]) != next.SessionID {
		t.Errorf("the next answer has %s", last)
	}
}

func TestWhoMayFollowTheFeed(t *testing.T) {
	h := newHarness(t, someClients)
	for name, c := range map[string]struct {
		header http.Header
		query  string
		status int
		code   string
	}{
		"nobody":            {nil, "", 403, "unauthorized_client"},
		"a back end":        {basic("backend", secret), "", 403, "unauthorized_client"},
		"a wrong secret":    {basic("shop", "x"), "", 401, "invalid_client"},
		"a wrong cursor":    {basic("shop", secret), "?since=x", 400, "invalid_request"},
		"a negative cursor": {basic("shop", secret), "?since=-1", 400, "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			h.send(request{method: "GET", path: "/oauth/ended" + c.query, header: c.header}).want(t, c.status, c.code, "")
		})
	}
	if got := h.send(request{method: "HEAD", path: "/oauth/ended", header: basic("shop", secret)}); got.status >= 300 {
		t.Errorf("HEAD is answered with %d", got.status)
	}
}

// If many sessions of a user end at once, one event stands for all of them.
func TestTheFeedTellsOfManyEndsAtOnce(t *testing.T) {
	h, listener := feedServer(t)
	for range 25 {
		h.signedIn()
	}
	if err := h.server.EndSubject(t.Context(), "u-1"); err != nil {
		t.Fatal(err)
	}
	f := follow(t, listener.URL, "")
	for f.lines.Scan() {
		data, ok := strings.CutPrefix(f.lines.Text(), "data: ")
		if !ok {
			continue
		}
		var event struct {
			SubID        struct{ Format, Sub string } `json:"sub_id"`
			IssuedBefore int64                        `json:"issued_before"`
		}
		if err := json.Unmarshal([]byte(data), &event); err != nil {
			t.Fatal(err)
		}
		if event.SubID.Format != "iss_sub" || event.SubID.Sub != "u-1" || event.IssuedBefore < time.Now().Add(-time.Minute).Unix() {
			t.Errorf("the first event is %s", data)
		}
		return
	}
}
