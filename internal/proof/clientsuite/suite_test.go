package clientsuite

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A badClient makes calls that no client should make. What it has got is what the
// first sign-in answered.
type badClient struct {
	*testing.T
	suite   *Suite
	control string
	run     Run
	tokens  struct{ AccessToken, RefreshToken string }
}

// newBadClient starts a run of a scenario with the given script, in which ann signs in.
func newBadClient(t *testing.T, answers ...Answer) *badClient {
	t.Helper()
	upTo := Count{0, maxCalls}
	scenario := Scenario{
		Name: "Anything goes", Rules: []int{1}, Server: Script{Answers: answers},
		Client: Settings{Origins: []string{"{elsewhere}"}}, // where a test finds the address
		Expect: Expect{Traffic: map[Endpoint]Count{SignIn: {1, 1}, Refresh: upTo, API: upTo, Elsewhere: upTo}},
	}
	var handlers [4]http.Handler
	var urls [4]string
	for i := range urls {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handlers[i].ServeHTTP(w, r) }))
		t.Cleanup(s.Close)
		urls[i] = s.URL
	}
	suite, err := New([]Scenario{scenario}, Origins{Auth: urls[1], API: urls[2], Elsewhere: urls[3]})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { suite.Close() })
	handlers = [4]http.Handler{suite.Control, suite.Auth, suite.API, suite.Elsewhere}
	c := &badClient{T: t, suite: suite, control: urls[0] + "/runs"}
	c.json(http.MethodPost, c.control, `{"scenario": "Anything goes"}`, &c.run)
	c.control += "/" + c.run.ID
	c.json(http.MethodPost, c.run.URL+"/auth/login", `{"username": "ann", "password": "nna"}`, &c.tokens)
	return c
}

func (c *badClient) json(method, url, body string, answer any) int {
	c.Helper()
	status, text := c.send(method, url, body, http.Header{"Content-Type": {"application/json"}})
	if answer != nil {
		if err := json.Unmarshal(text, answer); err != nil {
			c.Fatalf("%s: %v", text, err)
		}
	}
	return status
}

func (c *badClient) send(method, url, body string, header http.Header) (int, []byte) {
	c.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		c.Fatal(err)
	}
	return resp.StatusCode, text
}

// api calls the API as the runner's first request, with a token.
func (c *badClient) api(method, token, body string, length int) {
	c.Helper()
	c.send(method, c.run.URL+"/api/hello", body, http.Header{
		"Authorization": {"Bearer " + token}, RequestHeader: {"first"}, LengthHeader: {fmt.Sprint(length)},
	})
}

// refresh refreshes with a token and returns the next pair.
func (c *badClient) refresh(token string) (next struct{ AccessToken, RefreshToken string }) {
	c.Helper()
	c.json(http.MethodPost, c.run.URL+"/auth/refresh-token", fmt.Sprintf(`{"refreshToken": %q}`, token), &next)
	return next
}

func TestWhatNoClientMayDoIsReported(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(c *badClient)
		want string
	}{
		"nothing is wrong": {func(c *badClient) { c.api("POST", c.tokens.AccessToken, "abc", 3) }, ""},
		"a token goes elsewhere": {func(c *badClient) {
			c.send("GET", c.run.Scenario.Client.Origins[0]+"/x", "", http.Header{"Authorization": {"Bearer " + c.tokens.AccessToken}})
		}, "a token or a password went elsewhere"},
		"a refresh token goes elsewhere": {func(c *badClient) {
			c.send("POST", c.run.Scenario.Client.Origins[0]+"/x", c.tokens.RefreshToken, http.Header{})
		}, "a token or a password went elsewhere"},
		"a password goes elsewhere": {func(c *badClient) {
			c.send("POST", c.run.Scenario.Client.Origins[0]+"/x", `{"password":"nna"}`, http.Header{})
		}, "a token or a password went elsewhere"},
		"a token in a URL": {func(c *badClient) {
			c.send("GET", c.run.URL+"/api/hello?access_token="+c.tokens.AccessToken, "", http.Header{RequestHeader: {"first"}})
		}, "a token was in the URL"},
		"a refresh token for the API": {func(c *badClient) { c.api("GET", c.tokens.RefreshToken, "", 0) }, "the API was sent a refresh token"},
		"two Authorization headers": {func(c *badClient) {
			c.send("GET", c.run.URL+"/api/hello", "", http.Header{"Authorization": {"Bearer a", "Bearer b"}, RequestHeader: {"first"}})
		}, "2 Authorization headers"},
		"a caller's header twice": {func(c *badClient) {
			c.send("GET", c.run.URL+"/api/hello", "", http.Header{RequestHeader: {"first", "first"}})
		}, "2 headers Suite-Request"},
		"a caller's header lost": {func(c *badClient) {
			c.send("GET", c.run.URL+"/api/hello", "", http.Header{})
		}, "0 headers Suite-Request"},
		"half a body":  {func(c *badClient) { c.api("POST", c.tokens.AccessToken, "def", 6) }, "a body of 3 bytes"},
		"another body": {func(c *badClient) { c.api("POST", c.tokens.AccessToken, "xyz", 3) }, "a body of 3 bytes"},
		"the same again": {func(c *badClient) {
			c.api("GET", c.tokens.AccessToken, "", 0)
			c.api("GET", c.tokens.AccessToken, "", 0)
		}, "twice with the same access token"},
		"another method": {func(c *badClient) {
			c.api("POST", c.tokens.AccessToken, "", 0)
			c.api("GET", c.refresh(c.tokens.RefreshToken).AccessToken, "", 0)
		}, "was sent as POST, then as GET"},
		"three sends": {func(c *badClient) {
			for range 3 {
				c.api("GET", c.tokens.AccessToken, "", 0)
			}
		}, "was sent 3 times"},
		"another user": {func(c *badClient) {
			c.api("GET", c.tokens.AccessToken, "", 0)
			var bob struct{ AccessToken string }
			c.json(http.MethodPost, c.run.URL+"/auth/login", `{"username": "bob", "password": "bbo"}`, &bob)
			c.api("GET", bob.AccessToken, "", 0)
		}, `in the name of "ann", then of "bob"`},
		"too much traffic": {func(c *badClient) {
			c.json(http.MethodPost, c.run.URL+"/auth/login", `{"username": "ann", "password": "nna"}`, nil)
		}, "2 calls of signIn, want 1"},
		"an older refresh token": {func(c *badClient) {
			c.refresh(c.refresh(c.tokens.RefreshToken).RefreshToken)
			c.refresh(c.tokens.RefreshToken)
		}, "a refresh token that it had replaced"},
		"a loop": {func(c *badClient) {
			for range maxCalls {
				c.json(http.MethodPost, c.run.URL+"/auth/refresh-token", `{"refreshToken": "x"}`, nil)
			}
		}, "more than 2500 calls"},
	} {
		t.Run(name, func(t *testing.T) {
			client := newBadClient(t)
			c.do(client)
			_, text := client.send(http.MethodGet, client.control, "", http.Header{})
			var report Report
			if err := json.Unmarshal(text, &report); err != nil {
				t.Fatal(err)
			}
			found := slices.ContainsFunc(report.Wrong, func(s string) bool { return strings.Contains(s, c.want) })
			if (c.want != "" || len(report.Wrong) > 0) && !found {
				t.Errorf("%q, want %q", report.Wrong, c.want)
			}
			if bytes.Contains(text, []byte("null")) {
				t.Errorf("a list is null: %s", text)
			}
			for _, secret := range []string{client.tokens.AccessToken, client.tokens.RefreshToken} {
				if bytes.Contains(text, []byte(secret)) {
					t.Error("a token is in the report")
				}
			}
		})
	}
}

func TestTwoRefreshesAtOnceAreReported(t *testing.T) {
	c := newBadClient(t, Answer{On: Refresh, Always: true, HoldCall: "gate"})
	done := make(chan struct{})
	for range 2 {
		go func() {
			c.refresh(c.tokens.RefreshToken)
			done <- struct{}{}
		}()
	}
	c.step(http.StatusNoContent, `{"do": "await", "on": "refresh", "calls": 2}`)
	c.step(http.StatusNoContent, `{"do": "release", "gate": "gate"}`)
	<-done
	<-done
	var report Report
	c.json(http.MethodGet, c.control, "", &report)
	if want := []string{"two refreshes of one session were under way at once"}; !slices.Equal(report.Wrong, want) {
		t.Errorf("%q, want %q", report.Wrong, want)
	}
}

// step has the suite do a step, which it answers with a status.
func (c *badClient) step(want int, step string) {
	c.Helper()
	if got := c.json(http.MethodPost, c.control+"/steps", step, nil); got != want {
		c.Errorf("%s: %d, want %d", step, got, want)
	}
}

func TestStepsThatCannotBeDoneAreRefused(t *testing.T) {
	c := newBadClient(t, Answer{On: Refresh, HoldCall: "gate"})
	c.step(http.StatusConflict, `{"do": "release", "gate": "gate"}`) // nobody is there
	c.step(http.StatusConflict, `{"do": "wait", "seconds": 1}`)      // the client's
	c.step(http.StatusConflict, `{"do": "await", "on": "api"}`)
	c.step(http.StatusBadRequest, `{"do": "script", "colour": "red"}`)
	c.control = strings.TrimSuffix(c.control, c.run.ID) + "99"
	c.step(http.StatusNotFound, `{"do": "script"}`)
	if status := c.json(http.MethodPost, strings.TrimSuffix(c.control, "/99"), `{"scenario": "unheard of"}`, nil); status != http.StatusConflict {
		t.Errorf("a scenario that is not there: %d", status)
	}
}

// A gate that everybody has left cannot be opened: the client should have waited there.
func TestACallThatTheClientGaveUpIsNotHeld(t *testing.T) {
	c := newBadClient(t, Answer{On: Refresh, HoldCall: "gate"})
	ctx, giveUp := context.WithCancel(t.Context())
	gone := make(chan any)
	go func() {
		defer func() { gone <- recover() }()
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, "/runs/"+c.run.ID+"/auth/refresh-token", http.NoBody)
		c.suite.Auth.ServeHTTP(httptest.NewRecorder(), req)
	}()
	c.step(http.StatusNoContent, `{"do": "await", "on": "refresh", "calls": 1}`)
	giveUp()
	if cut, ok := (<-gone).(error); !ok || !errors.Is(cut, http.ErrAbortHandler) {
		t.Errorf("the call came out with %v", cut)
	}
	c.step(http.StatusConflict, `{"do": "release", "gate": "gate"}`)
}

func TestWhatTheScriptLosesIsLost(t *testing.T) {
	for _, lost := range []string{"call", "reply"} {
		c := newBadClient(t, Answer{On: Refresh, Lose: lost})
		body := fmt.Sprintf(`{"refreshToken": %q}`, c.tokens.RefreshToken)
		if status := c.json(http.MethodPost, c.run.URL+"/auth/refresh-token", body, nil); status != 0 {
			t.Errorf("a lost %s was answered with %d", lost, status)
		}
		next := c.refresh(c.tokens.RefreshToken)
		if next.AccessToken == "" {
			t.Errorf("after a lost %s: no answer", lost)
		}
	}
}
