package tandem

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxAnswer   = 64 << 10 // bytes that are read of an answer
	maxAttempts = 3        // of one call in a row

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
		Transport: transport,
		// A redirect is the answer of something in between: a token is not
		// carried after it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// do sends a request and reads a JSON answer into answer, which may be nil; what the
// Content-Type calls it does not matter, for it may have a token in it that is the last
// one. Any status but 2xx is a *refusal, which quotes none of the secrets.
func (e endpoint) do(req *http.Request, answer any, secrets ...string) error {
	req.Header.Set("Accept", "application/json")
	resp, err := e.client.Do(req) //nolint:gosec // the program says where its server is
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("read the server's answer: %w", err)
	case resp.StatusCode >= http.StatusMultipleChoices:
		return e.refusal(resp, text, secrets)
	case answer == nil:
		return nil
	}
	// The decoder's own text could quote the answer.
	switch err := json.Unmarshal(text, answer); {
	case err != nil && !isJSON(resp):
		return fmt.Errorf("server answered %d with %q instead of JSON; is the URL right?", resp.StatusCode, printable(resp.Header.Get("Content-Type")))
	case err != nil:
		return errors.New("server answered with JSON of another shape")
	}
	return nil
}

// A refusal is an answer that says no, and means it.
type refusal struct {
	status      int
	code        string // "error" of RFC 6749 section 5.2
	reason      string
	description string
	retryAfter  time.Duration
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("server answered %d %s", r.status, r.code)
	if r.description != "" {
		text += ": " + r.description
	}
	return text
}

// temporary reports whether the same call may be answered otherwise later.
func (r *refusal) temporary() bool {
	return r.status >= http.StatusInternalServerError ||
		r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout
}

// pause waits before the next attempt: 0.1 s, 0.2 s, …, or as long as the server
// asked for, and a random part on top. It reports whether to go on.
func pause(ctx context.Context, jitter func(time.Duration) time.Duration, attempt int, asked time.Duration) bool {
	if asked > maxPause {
		return false
	}
	wait := max(asked, 50*time.Millisecond<<attempt)
	timer := time.NewTimer(wait + jitter(wait/4))
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
	if no, ok := errors.AsType[*refusal](err); ok {
		return no.retryAfter
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

func (e endpoint) refusal(resp *http.Response, text []byte, secrets []string) *refusal {
	r := &refusal{status: resp.StatusCode, code: http.StatusText(resp.StatusCode), retryAfter: e.retryAfter(resp)}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason"`
	}
	if json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		for _, s := range []*string{&answer.Error, &answer.Reason, &answer.Description} {
			for _, secret := range secrets {
				if secret != "" {
					*s = strings.ReplaceAll(*s, secret, "…")
				}
			}
		}
		r.code, r.reason, r.description = printable(answer.Error), printable(answer.Reason), printable(answer.Description)
	}
	return r
}

// maxRetryAfter is the longest wait that a server is believed.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the Retry-After header (RFC 9110 section 10.2.3).
func (e endpoint) retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(max(time.Duration(min(seconds, int(maxRetryAfter/time.Second)))*time.Second, 0), maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(e.now()), 0), maxRetryAfter)
	}
	return 0
}

func isJSON(resp *http.Response) bool {
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	return err == nil && kind == "application/json"
}

// printable makes what a server said fit for an error text.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > 200 {
		return string(runes[:200]) + "…"
	}
	return s
}
