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
	maxAnswer      = 64 << 10 // the most bytes that the client reads of an API's answer
	maxTokenAnswer = 1 << 20  // the most bytes that the client reads of an endpoint's answer
	maxAttempts    = 3        // for one call in a row

	// maxPause is the longest wait between two attempts in a row. If a server asks for a
	// longer wait, the client makes no further attempt in this call.
	maxPause = 2 * time.Second
)

// An endpoint makes calls to which the server answers with tokens, and reads the answers.
type endpoint struct {
	client *http.Client
	now    func() time.Time
}

func newEndpoint(transport http.RoundTripper, now func() time.Time) endpoint {
	return endpoint{now: now, client: &http.Client{
		Transport: &stallGuard{base: transport},
		// A redirect may come from a proxy or a captive portal: the client does not send a
		// token after it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends a request and reads the answer. If the status is not 2xx, do returns the answer
// and a [*ServerError]; any other error reports that no answer arrived. No error quotes
// one of the secrets.
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

// An answer is the readable part of a server's answer.
type answer struct {
	members
	// err is why members are missing; nil if the client read the whole answer. It never
	// quotes the answer.
	err error
	// said has the status and the error of the answer. Its Code is empty if the answer has
	// none, or the client could not read the whole answer.
	said *ServerError
}

// code returns the error code for comparisons, exactly as the server sent it, even if it
// contains a short secret. It is empty if the answer is not definitive.
func (a answer) code() string {
	if a.said == nil || !a.said.definitive() {
		return ""
	}
	return a.text("error")
}

// readAnswer reads JSON or a form whatever the Content-Type says, because the answer may
// contain the only valid refresh token.
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

// serverError returns the status and the error of an answer.
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
// member of an unexpected type counts as missing and does not affect the others.
type members map[string]json.RawMessage

// text returns a member that is a string. It is empty if the member is missing or has
// another type.
func (m members) text(name string) string {
	var s string
	if json.Unmarshal(m[name], &s) != nil {
		return ""
	}
	return s
}

// seconds returns the first of the named members that is a plausible number of seconds,
// from one second to a century, as a number or a string. It is 0 if no member is.
func (m members) seconds(names ...string) time.Duration {
	for _, name := range names {
		text := strings.TrimSpace(cmp.Or(m.text(name), string(m[name])))
		if n, err := strconv.ParseFloat(text, 64); err == nil && n >= 1 && n <= maxLifeSeconds {
			return time.Duration(n * float64(time.Second))
		}
	}
	return 0
}

// set adds a member. If a server sends a name twice, set keeps the last value that is
// neither null nor empty.
func (m members) set(name string, value json.RawMessage) {
	if text := string(value); m[name] != nil && (text == "null" || text == `""`) {
		return
	}
	m[name] = value
}

// parseAnswer returns the members of an answer, and whether they are complete. Of a text
// that is cut or damaged it returns the members that arrived whole.
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

// isForm reports whether text can be a form (application/x-www-form-urlencoded), as
// opposed to a JSON object or an HTML page.
func isForm(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c > '~' || strings.IndexByte(`"<>{}`, c) >= 0 {
			return false
		}
	}
	return bytes.IndexByte(text, '=') > 0
}

// parseForm leaves out malformed fields, and the last field of a form that was cut: half a
// token looks like a whole one.
func parseForm(text []byte, cut bool) members {
	if cut {
		text = text[:max(bytes.LastIndexByte(text, '&'), 0)]
	}
	fields, _ := url.ParseQuery(string(text)) // returns the fields that it could read
	found := members{}
	for name, values := range fields {
		for _, value := range values {
			quoted, _ := json.Marshal(value) // never fails for a string
			found.set(name, quoted)
		}
	}
	return found
}

// answered returns the server's answer if err itself is a *ServerError. It does not unwrap
// err: an error of the transport may wrap the answer of another server, such as one that a
// gateway's own session calls.
func answered(err error) (*ServerError, bool) {
	said, ok := err.(*ServerError) //nolint:errorlint // see above
	return said, ok
}

// pause waits before the next attempt: 0.1 s, 0.2 s, …, or as long as the server asked
// for, plus a random part. It reports whether the caller should make that attempt.
func pause(ctx context.Context, jitter func(time.Duration) time.Duration, attempt int, asked time.Duration) bool {
	if asked > maxPause {
		return false
	}
	wait := max(asked, 50*time.Millisecond<<attempt)
	return sleep(ctx, wait+jitter(wait/4))
}

// sleep waits for d. It reports false if ctx ends first.
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

// retryAfter returns how long a server asked the client to wait, or 0.
func retryAfter(err error, now time.Time) time.Duration {
	if said, ok := errors.AsType[*ServerError](err); ok {
		return said.RetryAfter
	}
	if temporary, ok := errors.AsType[*TemporaryError](err); ok {
		return max(temporary.RetryAt.Sub(now), 0)
	}
	return 0
}

// maxLifeSeconds is a century: a longer lifetime is a mistake of the server.
const maxLifeSeconds = 100 * 365 * 24 * 60 * 60

// isToken reports whether s consists of the characters that RFC 6750 section 2.1 allows.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-._~+/=", rune(c)) {
			return false
		}
	}
	return s != ""
}

// maxRetryAfter is the longest wait that a server can impose.
const maxRetryAfter = 5 * time.Minute

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// printable makes a server's text safe for a terminal and a log. It removes control
// characters, invisible characters and those that change the direction of writing,
// replaces secrets of the request that the server has echoed, and cuts the text at 200
// characters.
func printable(s string, secrets ...string) string {
	for range 2 { // the second pass finds secrets that invisible characters had split
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
