package tandem

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tandem-auth/tandem/internal/retryafter"
)

const (
	maxAnswer      = 64 << 10 // bytes that are read of an API's answer
	maxTokenAnswer = 1 << 20  // bytes that are read of an endpoint's answer
	maxAttempts    = 3        // of one call in a row

	// maxPause is the longest wait between two attempts in a row; a server that
	// asks for more is left alone.
	maxPause = 2 * time.Second
)

// An endpoint makes calls in which tokens are handed out, and reads the answers.
type endpoint struct {
	client *http.Client
	now    func() time.Time
}

func newEndpoint(transport http.RoundTripper, now func() time.Time) endpoint {
	return endpoint{now: now, client: &http.Client{
		Transport: &stallGuard{base: transport},
		// A redirect is the answer of something in between: a token is not
		// carried after it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends a request and reads the answer. If the status is not 2xx, do returns a
// [*ServerError] beside the answer; any other error says that no answer has arrived. No
// error quotes one of the secrets.
func (e endpoint) do(req *http.Request, secrets ...string) (answer, error) {
	req.Header.Set("Accept", "application/json")
	resp, err := e.client.Do(req) //nolint:gosec // the program says where its server is
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := readAnswer(resp, secrets)
	a.said = e.serverError(resp, a, secrets)
	if resp.StatusCode >= http.StatusMultipleChoices {
		return a, a.said
	}
	return a, nil
}

// An answer is what could be read of a server's answer.
type answer struct {
	members
	// err is why members are missing; nil if the answer was read in full. It never
	// quotes the answer.
	err error
	// said has the status, and the error that the answer names: its Code is empty if the
	// answer names none, or was not read in full.
	said *ServerError
}

// code returns the error code for comparisons: as sent, though a short secret may be in
// it. It is empty if the answer is no definitive one.
func (a answer) code() string {
	if a.said == nil || !a.said.definitive() {
		return ""
	}
	return a.text("error")
}

// readAnswer reads JSON or a form, whatever the Content-Type says: the refresh token in
// it may be the only one left.
func readAnswer(resp *http.Response, secrets []string) answer {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenAnswer+1))
	tooLong := len(text) > maxTokenAnswer
	found, complete := parseAnswer(text, tooLong || err != nil)
	switch {
	case complete:
		err = nil
	case err != nil:
		err = fmt.Errorf("read the server's answer: %w", err)
	case tooLong:
		err = errors.New("server's answer is longer than 1 MiB")
	case !isJSON(resp):
		err = fmt.Errorf("server answered %d with %q instead of JSON; is the URL right?", resp.StatusCode, printable(resp.Header.Get("Content-Type"), secrets...))
	default:
		err = errors.New("server answered with JSON of another shape")
	}
	return answer{members: found, err: err}
}

// serverError reads the status of an answer and the error that it names.
func (e endpoint) serverError(resp *http.Response, a answer, secrets []string) *ServerError {
	said := &ServerError{Status: resp.StatusCode, RetryAfter: retryafter.Parse(resp.Header, e.now(), maxRetryAfter)}
	if a.err == nil {
		said.Code = printable(a.text("error"), secrets...)
		said.Description = printable(a.text("error_description"), secrets...)
		said.URI = printable(a.text("error_uri"), secrets...)
		said.reason = printable(a.text("reason"), secrets...)
	}
	return said
}

// members are the members of a JSON object, or the fields of a form as JSON strings. A
// member of an unexpected type counts as missing; the others can be read all the same.
type members map[string]json.RawMessage

// text returns a member that is a string; empty if it is missing or something else.
func (m members) text(name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// seconds returns the first of the named members that is a sensible number of seconds,
// quoted or not: from a second to a century. It is 0 if there is none.
func (m members) seconds(names ...string) time.Duration {
	for _, name := range names {
		text := strings.TrimSpace(cmp.Or(m.text(name), string(m[name])))
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 1 && n <= maxLifeSeconds {
			return time.Duration(n * float64(time.Second))
		}
	}
	return 0
}

// set adds a member. If a server sends a name twice, the last value counts that is
// neither null nor empty.
func (m members) set(name string, value json.RawMessage) {
	if text := string(value); m[name] != nil && (text == "null" || text == `""`) {
		return
	}
	m[name] = value
}

// parseAnswer returns the members of an answer, and whether those are all. Of a text that
// was cut or is damaged it returns the members that are whole.
func parseAnswer(text []byte, cut bool) (_ members, complete bool) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if isForm(text) {
		return parseForm(text, cut), !cut
	}
	return parseObject(text)
}

// parseObject ignores what follows the object.
func parseObject(text []byte) (_ members, complete bool) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, false
	}
	found := members{}
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return found, false
		}
		var value json.RawMessage
		if decoder.Decode(&value) != nil {
			return found, false
		}
		if last := value[len(value)-1]; int(decoder.InputOffset()) == len(text) && last >= '0' && last <= '9' {
			return found, false // half a number looks like a whole one
		}
		found.set(fmt.Sprint(name), value)
	}
	_, err := decoder.Token()
	return found, err == nil
}

// isForm reports whether text can be a form (application/x-www-form-urlencoded): no
// JSON object is one, and no page of HTML.
func isForm(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c > '~' || strings.IndexByte(`"<>{}`, c) >= 0 {
			return false
		}
	}
	return bytes.IndexByte(text, '=') > 0
}

// parseForm leaves out fields that are malformed, and the last one of a form that was
// cut: half a token looks like a whole one.
func parseForm(text []byte, cut bool) members {
	if cut {
		text = text[:max(bytes.LastIndexByte(text, '&'), 0)]
	}
	fields, _ := url.ParseQuery(string(text)) // it returns what it could read
	found := members{}
	for name, values := range fields {
		for _, value := range values {
			quoted, _ := json.Marshal(value) // a string always can be
			found.set(name, quoted)
		}
	}
	return found
}

// answered returns what the server has answered, if err is that and nothing else. An error
// of the transport may wrap the answer of another server: of one that a gateway's own
// session talks to, say.
func answered(err error) (*ServerError, bool) {
	said, ok := err.(*ServerError) //nolint:errorlint // see above
	return said, ok
}

// pause waits before the next attempt: 0.1 s, 0.2 s, …, or as long as the server
// asked for, and a random part on top. It reports whether to go on.
func pause(ctx context.Context, jitter func(time.Duration) time.Duration, attempt int, asked time.Duration) bool {
	if asked > maxPause {
		return false
	}
	wait := max(asked, 50*time.Millisecond<<attempt)
	return sleep(ctx, wait+jitter(wait/4))
}

// sleep waits, and reports whether the time has passed: it returns false if ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter returns how long a server asked to wait, or 0.
func retryAfter(err error, now time.Time) time.Duration {
	if said, ok := errors.AsType[*ServerError](err); ok {
		return said.RetryAfter
	}
	if temporary, ok := errors.AsType[*TemporaryError](err); ok {
		return max(temporary.RetryAt.Sub(now), 0)
	}
	return 0
}

// maxLifeSeconds is a century: what is above is a mistake.
const maxLifeSeconds = 100 * 365 * 24 * 60 * 60

// isToken reports whether s is made of what RFC 6750 section 2.1 allows.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/=", rune(c)) {
			return false
		}
	}
	return s != ""
}

// maxRetryAfter is the longest wait that a server is believed.
const maxRetryAfter = 5 * time.Minute

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// printable makes what a server said fit for a terminal and a log: without control
// characters, without what is invisible or changes the direction of writing, of 200
// characters at most, and without secrets of the request that the server has sent back.
func printable(s string, secrets ...string) string {
	for range 2 { // the second time without what was invisible inside a secret
		for _, secret := range secrets {
			for _, form := range []string{secret, url.QueryEscape(secret)} {
				if form != "" {
					s = strings.ReplaceAll(s, form, "…")
				}
			}
		}
		s = visible(s)
	}
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return s
}

func visible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Z, r), r == '\u2800': // the blank of Braille
			return ' '
		case !unicode.IsPrint(r), unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
			return -1
		}
		return r
	}, s)
}
