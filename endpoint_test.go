package tandem_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem"
)

// A tokenAnswer is what a token endpoint answers, whatever it is asked.
type tokenAnswer struct {
	status int // 200 if it is 0
	header map[string]string
	body   string
	cut    bool // the connection breaks after the body
}

func (a tokenAnswer) RoundTrip(req *http.Request) (*http.Response, error) {
	resp := &http.Response{
		StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(a.body)), Request: req,
	}
	if a.status == 0 {
		resp.StatusCode = http.StatusOK
	}
	for name, value := range a.header {
		resp.Header.Set(name, value)
	}
	if a.cut {
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(a.body), iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return resp, nil
}

// refresh refreshes with "sent-token" at an OAuth 2.0 server that answers a.
func (a tokenAnswer) refresh(t testing.TB, changes ...func(*tandem.OAuth2Config)) (tandem.Grant, error) {
	t.Helper()
	config := tandem.OAuth2Config{TokenURL: tokenURL, ClientID: "app", Transport: a}
	for _, change := range changes {
		change(&config)
	}
	o, err := tandem.NewOAuth2(config)
	if err != nil {
		t.Fatal(err)
	}
	return o.Refresh(t.Context(), tandem.Pair{SessionID: "s", RefreshToken: "sent-token"})
}

// Servers answer in many ways. A refresh token that can be read is never lost, and what
// looks like one is not taken for one.
func TestWhatTokenEndpointsAnswer(t *testing.T) {
	form := func(kind string) map[string]string { return map[string]string{"Content-Type": kind} }
	large := strings.Repeat("x", 100<<10)
	endless := strings.Repeat("x", 2<<20)
	both := tandem.Grant{AccessToken: "a", RefreshToken: "r"}
	rotated := tandem.Grant{RefreshToken: "r"}
	for name, c := range map[string]struct {
		answer tokenAnswer
		want   tandem.Grant
		err    string // part of the error's text; none if it is empty
	}{
		"JSON":                     {tokenAnswer{body: `{"access_token":"a","refresh_token":"r"}`}, both, ""},
		"with a byte order mark":   {tokenAnswer{body: "\ufeff{\"access_token\":\"a\",\"refresh_token\":\"r\"}"}, both, ""},
		"as text/html":             {tokenAnswer{header: form("text/html"), body: `{"access_token":"a","refresh_token":"r"}`}, both, ""},
		"a notice behind it":       {tokenAnswer{body: `{"access_token":"a","refresh_token":"r"}<b>Notice</b>`}, both, ""},
		"a space in it":            {tokenAnswer{body: `{"access_token":"a","refresh_token":"r 1"}`}, tandem.Grant{AccessToken: "a", RefreshToken: "r 1"}, ""},
		"neighbours of other type": {tokenAnswer{body: `{"scope":["b"],"id_token":{"c":1},"access_token":"a","token_type":7,"refresh_token":"r"}`}, both, ""},
		"names twice":              {tokenAnswer{body: `{"access_token":"b","refresh_token":"r","access_token":"a","refresh_token":null}`}, both, ""},
		"an access token alone":    {tokenAnswer{body: `{"access_token":"a","refresh_token":null}`}, tandem.Grant{AccessToken: "a"}, ""},
		"a list around it":         {tokenAnswer{body: `[{"access_token":"a","refresh_token":"r"}]`}, tandem.Grant{}, "another shape"},
		"a page":                   {tokenAnswer{header: form("text/html"), body: `<a href="?access_token=a&refresh_token=r">`}, tandem.Grant{}, "text/html"},
		"a type with the token":    {tokenAnswer{header: form("text/sent-token"), body: "-"}, tandem.Grant{}, `"text/…"`},
		"nothing":                  {tokenAnswer{status: http.StatusNoContent}, tandem.Grant{}, "another shape"},

		"a form":            {tokenAnswer{header: form("application/x-www-form-urlencoded"), body: "access_token=a&expires_in=60&refresh_token=r"}, tandem.Grant{AccessToken: "a", RefreshToken: "r", ExpiresIn: time.Minute}, ""},
		"a form as text":    {tokenAnswer{header: form("text/plain"), body: "refresh_token=r&access_token=a%2F1&scope=\n"}, tandem.Grant{AccessToken: "a/1", RefreshToken: "r"}, ""},
		"a form as JSON":    {tokenAnswer{body: "access_token=a&refresh_token=r"}, both, ""},
		"a form with error": {tokenAnswer{header: form("text/plain"), body: "error=slow_down&error_description=wait+a+bit"}, tandem.Grant{}, "slow_down: wait a bit"},

		"error false": {tokenAnswer{body: `{"error":false,"access_token":"a","refresh_token":"r"}`}, both, ""},
		"error null":  {tokenAnswer{body: `{"error":null,"access_token":"a","refresh_token":"r"}`}, both, ""},
		"error empty": {tokenAnswer{body: `{"error":"","access_token":"a","refresh_token":"r"}`}, both, ""},
		"error 0":     {tokenAnswer{body: `{"error":0,"access_token":"a","refresh_token":"r"}`}, both, ""},

		"Bearer in capitals": {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","token_type":"BEARER"}`}, both, ""},
		"Apigee's type":      {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","token_type":"BearerToken"}`}, both, ""},
		"Slack's type":       {tokenAnswer{body: `{"ok":true,"access_token":"a","refresh_token":"r","token_type":"bot"}`}, both, ""},
		"a bound token":      {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","token_type":"DPoP"}`}, rotated, "token type"},

		"Keycloak's refresh life": {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","refresh_expires_in":1800}`}, tandem.Grant{AccessToken: "a", RefreshToken: "r", RefreshExpiresIn: 30 * time.Minute}, ""},
		"Keycloak's offline one":  {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","refresh_expires_in":0}`}, both, ""},
		"GitHub's refresh life":   {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","refresh_token_expires_in":"60"}`}, tandem.Grant{AccessToken: "a", RefreshToken: "r", RefreshExpiresIn: time.Minute}, ""},

		"more than 64 KiB":               {tokenAnswer{body: `{"access_token":"a","id_token":"` + large + `","refresh_token":"r"}`}, both, ""},
		"more than 1 MiB":                {tokenAnswer{body: `{"access_token":"a","refresh_token":"r","id_token":"` + endless + `"}`}, both, ""},
		"more than 1 MiB of a form":      {tokenAnswer{body: `access_token=a&refresh_token=r&id_token=` + endless}, both, ""},
		"more than 1 MiB before a token": {tokenAnswer{body: `{"refresh_token":"r","id_token":"` + endless + `","access_token":"a"}`}, rotated, "1 MiB"},
		"more than 1 MiB before all":     {tokenAnswer{body: `{"id_token":"` + endless + `","refresh_token":"r","access_token":"a"}`}, tandem.Grant{}, "1 MiB"},

		"cut behind both tokens":       {tokenAnswer{cut: true, body: `{"access_token":"a","refresh_token":"r"`}, both, ""},
		"cut behind the object":        {tokenAnswer{cut: true, body: `{"access_token":"a","refresh_token":"r"}`}, both, ""},
		"cut in a number":              {tokenAnswer{cut: true, body: `{"access_token":"a","refresh_token":"r","refresh_expires_in":18`}, both, ""},
		"cut in the access token":      {tokenAnswer{cut: true, body: `{"refresh_token":"r","access_token":"a`}, rotated, "read the server's answer"},
		"cut in the refresh token":     {tokenAnswer{cut: true, body: `{"access_token":"a","refresh_token":"r`}, tandem.Grant{}, "read the server's answer"},
		"cut without saying so":        {tokenAnswer{body: `{"refresh_token":"r","access_`}, rotated, "another shape"},
		"damaged behind both tokens":   {tokenAnswer{body: `{"access_token":"a","refresh_token":"r",}`}, both, ""},
		"a form, cut behind both":      {tokenAnswer{cut: true, body: "access_token=a&refresh_token=r&"}, both, ""},
		"a form, cut in the first":     {tokenAnswer{cut: true, body: "refresh_token=r"}, tandem.Grant{}, "read the server's answer"},
		"a form, cut in the other one": {tokenAnswer{cut: true, body: "refresh_token=r&access_token=a"}, rotated, "read the server's answer"},

		"tokens with another status":  {tokenAnswer{status: http.StatusBadGateway, body: `{"access_token":"a","refresh_token":"r"}`}, rotated, "502 Bad Gateway"},
		"tokens beside an error":      {tokenAnswer{status: http.StatusBadRequest, body: `{"error":"invalid_request","access_token":"a","refresh_token":"r"}`}, tandem.Grant{}, "invalid_request"},
		"the request, with a mask":    {tokenAnswer{status: http.StatusBadRequest, body: `{"detail":"bad scope","refresh_token":"***"}`}, tandem.Grant{}, "400 Bad Request"},
		"a refresh token, then error": {tokenAnswer{body: `{"error":"server_error","refresh_token":"r"}`}, rotated, "200 server_error"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.answer.refresh(t)
			if got != c.want {
				t.Errorf("access token %q, refresh token %q, %v; want %q, %q, %v",
					got.AccessToken, got.RefreshToken, got, c.want.AccessToken, c.want.RefreshToken, c.want)
			}
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one with %q", err, c.err)
			}
		})
	}
}

// What expires_in says is believed if it makes sense.
func TestExpiresIn(t *testing.T) {
	for text, want := range map[string]time.Duration{
		`60`: time.Minute, `"60"`: time.Minute, `" 60 "`: time.Minute, `59.5`: 59500 * time.Millisecond, `"6e1"`: time.Minute,
		`0`: 0, `-1`: 0, `0.5`: 0, `null`: 0, `""`: 0, `"soon"`: 0, `"NaN"`: 0, `"Inf"`: 0, `3153600001`: 0, `1e300`: 0, `1e999`: 0,
		`99999999999999999999`: 0, `{}`: 0, `[60]`: 0, `true`: 0,
	} {
		grant, err := tokenAnswer{body: `{"expires_in":` + text + `,"access_token":"a"}`}.refresh(t)
		if want := (tandem.Grant{AccessToken: "a", ExpiresIn: want}); err != nil || grant != want {
			t.Errorf("expires_in %s: %v, %v; want %v", text, grant, err, want)
		}
	}
}

// An answer that breaks off has often told the one refresh token that is left, and the
// spent one must not be sent again.
func TestAnAnswerThatBreaksOff(t *testing.T) {
	for name, c := range map[string]struct {
		arrives string // of the first answer
		used    string
		failed  int
	}{
		"in the access token": {`{"refresh_token":"refresh-2","access_token":"acc`, "refresh-1 refresh-2", 1},
		"behind both":         {`{"refresh_token":"refresh-2","access_token":"access-2","expires_in":60`, "refresh-1", 0},
		"before the refresh token: some give it again": {`{"access_token":"access-2","refresh_token":"ref`, "refresh-1 refresh-1", 2},
	} {
		t.Run(name, func(t *testing.T) {
			withTextbook(t, func(cl *client) {
				cl.expire()
				failed := 0
				for range 2 {
					if _, err := get(cl.session.Client(), ordersURL); err != nil {
						failed++
					}
					time.Sleep(2 * time.Second)
				}
				if got := strings.Join(cl.server.used, " "); got != c.used || failed != c.failed {
					t.Errorf("the server was given %s, and %d calls have failed; want %s, and %d", got, failed, c.used, c.failed)
				}
			}, func(o *tandem.OAuth2Config) { o.Transport = &cutter{RoundTripper: o.Transport, arrives: c.arrives} })
		})
	}
}

// A cutter breaks the first answer off.
type cutter struct {
	http.RoundTripper
	arrives string
	done    bool
}

func (c *cutter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(req)
	if err == nil && !c.done {
		c.done = true
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(c.arrives), iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return resp, err
}

// Without a date of the server's own, the client's clock counts.
func TestRetryAfter(t *testing.T) {
	for name, c := range map[string]struct {
		header, date string
		want         time.Duration
	}{
		"none":                     {"", "", 0},
		"seconds":                  {"7", "", 7 * time.Second},
		"a negative number":        {"-7", "", 0},
		"more than is believed":    {"86400", "", 5 * time.Minute},
		"more than fits":           {"99999999999999999999", "", 5 * time.Minute},
		"a word":                   {"soon", "", 0},
		"a date":                   {"Sat, 01 Jan 2000 00:01:00 GMT", "", time.Minute},
		"a date that has passed":   {"Fri, 31 Dec 1999 23:59:00 GMT", "", 0},
		"a date of another clock":  {"Mon, 01 Jan 2029 00:01:00 GMT", "Mon, 01 Jan 2029 00:00:00 GMT", time.Minute},
		"a date beside a bad Date": {"Sat, 01 Jan 2000 00:01:00 GMT", "today", time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // it is 2000-01-01T00:00:00Z
				_, err := tokenAnswer{status: http.StatusServiceUnavailable, header: map[string]string{"Retry-After": c.header, "Date": c.date}}.refresh(t)
				said, ok := errors.AsType[*tandem.ServerError](err)
				if !ok || said.RetryAfter != c.want {
					t.Errorf("got %#v, want to wait for %s", err, c.want)
				}
			})
		})
	}
}

// What a server says is shown in terminals and logs.
func TestWhatAServerSaysIsFitToPrint(t *testing.T) {
	for name, c := range map[string]struct{ said, want string }{
		"other scripts":           {"Đã hết hạn, 已过期, انتهت 🙂", "Đã hết hạn, 已过期, انتهت 🙂"},
		"control characters":      {"a\x1b[2Jb\r\nc\u0085d\u2028e", "a [2Jb  c d e"},
		"directions":              {"a\u202eb\u2066c\u200fd", "abcd"},
		"what cannot be seen":     {"a\u200bb\ufeffc\u00add\u3164e\ufe0ff\U000e0041g\u2800h\u00a0i", "abcdefg h i"},
		"the token":               {"no such token: sent-token", "no such token: …"},
		"the token, hidden":       {"no such token: sent\u200b-token", "no such token: …"},
		"the secret, as sent":     {"s%26s and s&s", "… and …"},
		"the secret at the limit": {strings.Repeat("x", 198) + "s&s", strings.Repeat("x", 198) + "…"},
		"more than is of use":     {strings.Repeat("é", 300), strings.Repeat("é", 200) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := json.Marshal(map[string]string{"error": c.said, "error_description": c.said, "error_uri": c.said})
			if err != nil {
				t.Fatal(err)
			}
			_, err = tokenAnswer{status: http.StatusBadRequest, body: string(text)}.refresh(t, func(o *tandem.OAuth2Config) { o.ClientSecret = "s&s" })
			said, ok := errors.AsType[*tandem.ServerError](err)
			if !ok || said.Code != c.want || said.Description != c.want || said.URI != c.want {
				t.Errorf("got %+q, want %+q", said, c.want)
			}
		})
	}
}

// An answer that is read in part gives up what was whole by then, and nothing else.
func FuzzTokenAnswer(f *testing.F) {
	for _, body := range []string{
		`{"access_token":"a","refresh_token":"r","expires_in":60,"token_type":"bearer"}`,
		"\ufeff{\"refresh_token\":\"r\",\"scope\":[\"b\"],\"error\":false}",
		`{"error":"invalid_grant","error_description":"sent-token"}`,
		"access_token=a&expires_in=60&refresh_token=r%2F1&token_type=bearer",
		`[1]`, `{"a":{"b":[`, `<html>`, ``,
	} {
		f.Add(http.StatusOK, body, len(body)/2)
		f.Add(http.StatusBadRequest, body, len(body))
	}
	f.Fuzz(func(t *testing.T, status int, body string, at int) {
		if status < 200 || status > 599 || at < 0 || at > len(body) {
			return
		}
		whole, err := tokenAnswer{status: status, body: body}.refresh(t)
		part, partErr := tokenAnswer{status: status, body: body[:at], cut: true}.refresh(t)
		for _, c := range []struct {
			grant tandem.Grant
			err   error
		}{{whole, err}, {part, partErr}} {
			switch {
			case c.err == nil && (c.grant.AccessToken == "" || status >= 300):
				t.Errorf("no error, with the access token %q and status %d", c.grant.AccessToken, status)
			case c.err != nil && c.grant.AccessToken != "":
				t.Errorf("an access token with the error %v", c.err)
			case c.err != nil && strings.Contains(c.err.Error(), "sent-token"):
				t.Errorf("the token is in the error %q", c.err)
			case c.grant.ExpiresIn < 0 || c.grant.RefreshExpiresIn < 0:
				t.Errorf("a negative life: %+v", c.grant)
			}
		}
		if _, ended := errors.AsType[*tandem.EndedError](partErr); ended && !strings.Contains(body[:at], "}") {
			t.Errorf("half an answer ended the session: %q", body[:at])
		}
		if strings.Count(body, "refresh_token") == 1 && !strings.ContainsAny(body, `\%+`) && whole.RefreshToken != "" && part.RefreshToken != "" && part.RefreshToken != whole.RefreshToken {
			t.Errorf("%q of a part, %q of the whole", part.RefreshToken, whole.RefreshToken)
		}
		var members map[string]any
		if json.Unmarshal([]byte(body), &members) != nil {
			return
		}
		_, ended := errors.AsType[*tandem.EndedError](err)
		if token, ok := members["refresh_token"].(string); ok && status < 300 && !ended && whole.RefreshToken != token && token != "" {
			t.Errorf("refresh token %q was read as %q", token, whole.RefreshToken)
		}
	})
}
