package tandem

import (
	"bytes"
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

	"github.com/tandem-auth/tandem/rotation"
)

const (
	loginPath   = "/auth/login"
	refreshPath = "/auth/refresh-token"
	logoutPath  = "/auth/logout"

	maxAnswer   = 64 << 10 // bytes that are read of an answer
	maxAttempts = 3        // of one call in a row

	// maxPause is the longest wait between two attempts in a row; a server that
	// asks for more is left alone.
	maxPause = 2 * time.Second
)

// An authServer makes the calls that sign in, refresh and sign out. It keeps no
// state.
type authServer struct {
	base    *url.URL
	client  *http.Client
	device  string
	timeout time.Duration
	now     func() time.Time
	jitter  func(limit time.Duration) time.Duration
}

func newAuthServer(base *url.URL, config Config) authServer {
	return authServer{
		base:    base,
		device:  config.Device,
		timeout: config.RefreshTimeout,
		now:     config.Now,
		jitter:  config.Jitter,
		client: &http.Client{
			Transport: config.Transport,
			// A redirect is the answer of something in between: a token is not
			// carried after it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
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

// errStale is what becomes of a refresh token that is neither current nor newer
// while the session lives.
var errStale = errors.New("refresh token is stale: another holder of the session has refreshed since")

// isAuthCall reports whether u is a call that must not carry an access token,
// and whose 401 has nothing to do with one.
func (a authServer) isAuthCall(u *url.URL) bool {
	path, ok := strings.CutPrefix(u.Path, a.base.Path)
	return ok && (path == loginPath || path == refreshPath) && originOf(u) == originOf(a.base)
}

func (a authServer) signIn(ctx context.Context, username, password string) (Pair, error) {
	body := map[string]string{"username": username, "password": password}
	if a.device != "" {
		body["device"] = a.device
	}
	pair, err := a.pair(ctx, loginPath, body)
	var no *refusal
	switch {
	case err == nil:
		pair.Username = username
		return pair, nil
	case ctx.Err() != nil:
		return Pair{}, ctx.Err()
	case !errors.As(err, &no):
		return Pair{}, &TemporaryError{Err: err}
	case no.status == http.StatusUnauthorized:
		return Pair{}, ErrInvalidCredentials
	case no.temporary():
		return Pair{}, a.temporary(no)
	}
	return Pair{}, no
}

// refresh makes one attempt. The error is an *EndedError, errStale, or something
// that may pass, maybe a *refusal.
func (a authServer) refresh(ctx context.Context, old Pair) (Pair, error) {
	pair, err := a.pair(ctx, refreshPath, map[string]string{"refreshToken": old.RefreshToken})
	var no *refusal
	if errors.As(err, &no) && no.status < http.StatusInternalServerError {
		switch no.code {
		case "invalid_grant", "session_ended":
			reason := rotation.EndReason(no.reason)
			if reason == "" {
				reason = rotation.Unknown
			}
			return Pair{}, &EndedError{SessionID: old.SessionID, Reason: reason}
		case "stale_refresh_token":
			return Pair{}, errStale
		}
	}
	if err != nil {
		return Pair{}, err
	}
	if pair.SessionID != old.SessionID {
		return Pair{}, errors.New("server answered with another session than was asked for")
	}
	pair.Username = old.Username
	return pair, nil
}

// signOut tells the server that the session has ended. It tries more than once:
// a sign-out that is only half done is worse than one that takes a second.
func (a authServer) signOut(ctx context.Context, refreshToken string) error {
	for attempt := 1; ; attempt++ {
		err := a.post(ctx, logoutPath, map[string]string{"refreshToken": refreshToken}, nil)
		var no *refusal
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &no) && !no.temporary():
			return no
		case attempt == maxAttempts || !a.pause(ctx, attempt, retryAfter(err)):
			return a.temporary(err)
		}
	}
}

func (a authServer) temporary(err error) *TemporaryError {
	return &TemporaryError{RetryAt: a.now().Add(retryAfter(err)), Err: err}
}

// temporary reports whether the same call may be answered otherwise later.
func (r *refusal) temporary() bool {
	return r.status >= http.StatusInternalServerError ||
		r.status == http.StatusTooManyRequests || r.status == http.StatusRequestTimeout
}

// pause waits before the next attempt: 0.1 s, 0.2 s, …, or as long as the server
// asked for, and a random part on top. It reports whether to go on.
func (a authServer) pause(ctx context.Context, attempt int, asked time.Duration) bool {
	if asked > maxPause {
		return false
	}
	wait := max(asked, 50*time.Millisecond<<attempt)
	timer := time.NewTimer(wait + a.jitter(wait/4))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter returns how long a refusal asked to wait, or 0.
func retryAfter(err error) time.Duration {
	if no, ok := errors.AsType[*refusal](err); ok {
		return no.retryAfter
	}
	return 0
}

// pair posts body and returns the pair that is answered, its shape checked.
func (a authServer) pair(ctx context.Context, path string, body any) (Pair, error) {
	var answer struct {
		AccessToken  string  `json:"accessToken"`
		RefreshToken string  `json:"refreshToken"`
		TokenType    string  `json:"tokenType"`
		ExpiresIn    float64 `json:"expiresIn"`
		SessionID    string  `json:"sessionId"`
	}
	if err := a.post(ctx, path, body, &answer); err != nil {
		return Pair{}, err
	}
	switch {
	case !isToken(answer.AccessToken), !isToken(answer.RefreshToken), answer.SessionID == "":
		return Pair{}, errors.New("server answered without a pair of tokens")
	case !strings.EqualFold(answer.TokenType, "Bearer"):
		return Pair{}, errors.New("server answered with a token type other than Bearer")
	case answer.ExpiresIn < 1 || answer.ExpiresIn > maxLifeSeconds:
		return Pair{}, errors.New("server answered without a sensible expiresIn")
	}
	now := a.now()
	return Pair{
		SessionID:    answer.SessionID,
		AccessToken:  answer.AccessToken,
		RefreshToken: answer.RefreshToken,
		ReceivedAt:   now,
		ExpiresAt:    now.Add(time.Duration(answer.ExpiresIn * float64(time.Second))),
	}, nil
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

// post sends body and reads a JSON answer into answer, which may be nil. Any
// status but 2xx is a *refusal, if the answer bears one, or an error.
func (a authServer) post(ctx context.Context, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.base.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("read the server's answer: %w", err)
	case resp.StatusCode >= 300:
		return a.refusal(resp, text)
	case answer == nil:
		return nil
	case !isJSON(resp):
		return fmt.Errorf("server answered %d with %q instead of JSON; is the URL right?", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if err := json.Unmarshal(text, answer); err != nil {
		// The decoder's own text could quote the answer.
		return errors.New("server answered with JSON of another shape")
	}
	return nil
}

func (a authServer) refusal(resp *http.Response, text []byte) *refusal {
	r := &refusal{status: resp.StatusCode, code: http.StatusText(resp.StatusCode), retryAfter: a.retryAfter(resp)}
	var answer struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
		Reason      string `json:"reason"`
	}
	if isJSON(resp) && json.Unmarshal(text, &answer) == nil && answer.Error != "" {
		r.code, r.reason = printable(answer.Error), printable(answer.Reason)
		r.description = printable(answer.Description)
	}
	return r
}

// maxRetryAfter is the longest wait that a server is believed.
const maxRetryAfter = 5 * time.Minute

// retryAfter reads the Retry-After header (RFC 9110 section 10.2.3).
func (a authServer) retryAfter(resp *http.Response) time.Duration {
	text := resp.Header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil {
		return min(max(time.Duration(min(seconds, int(maxRetryAfter/time.Second)))*time.Second, 0), maxRetryAfter)
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(a.now()), 0), maxRetryAfter)
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
