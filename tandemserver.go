package tandem

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/rotation"
)

const (
	loginPath   = "/auth/login"
	refreshPath = "/auth/refresh-token"
	logoutPath  = "/auth/logout"
)

// codeStale is the error code with which the server refuses a refresh token that is
// neither current nor newer, while the session lives.
const codeStale = "stale_refresh_token"

// A tandemServer makes the sign-in, refresh and sign-out calls to Tandem's own server. It
// is a [Refresher], a [Revoker] and a [Forgiver], and keeps no state.
type tandemServer struct {
	endpoint
	base    *url.URL
	device  string
	timeout time.Duration
	jitter  func(limit time.Duration) time.Duration
}

func newTandemServer(base *url.URL, config Config) *tandemServer {
	return &tandemServer{
		endpoint: newEndpoint(config.Transport, config.Now),
		base:     base,
		device:   config.Device,
		timeout:  config.RefreshTimeout,
		jitter:   config.Jitter,
	}
}

// ForgivesRetry is true: see [Forgiver].
func (t *tandemServer) ForgivesRetry() bool { return true }

// isAuthCall reports whether u is the sign-in or refresh endpoint: a request to it must
// not carry an access token, and its 401 does not refuse one.
func (t *tandemServer) isAuthCall(u *url.URL) bool {
	path, ok := strings.CutPrefix(u.Path, t.base.Path)
	return ok && (path == loginPath || path == refreshPath) && originOf(u) == originOf(t.base)
}

// signIn signs a user in. earlier is a refresh token of the server's that shows that the
// user has signed in on this device before, or "".
func (t *tandemServer) signIn(ctx context.Context, username, password, earlier string) (Pair, error) {
	body := map[string]string{"username": username, "password": password}
	if t.device != "" {
		body["device"] = t.device
	}
	if earlier != "" {
		body["refreshToken"] = earlier
	}
	grant, sessionID, err := t.grant(ctx, loginPath, body)
	no, ok := answered(err)
	switch {
	case err == nil:
		return grant.apply(Pair{SessionID: sessionID, Username: username}, t.now())
	case ctx.Err() != nil:
		return Pair{}, ctx.Err()
	case !ok:
		return Pair{}, &TemporaryError{Err: err}
	case no.Status == http.StatusUnauthorized:
		return Pair{}, ErrInvalidCredentials
	case no.temporary() || no.Status < http.StatusBadRequest: // a redirect, perhaps of a proxy
		return Pair{}, t.temporary(no)
	}
	return Pair{}, no
}

// Refresh makes one attempt. The error is an *EndedError, [ErrStale], or a temporary
// error, such as a *ServerError. Refresh returns no refresh token with an error: the
// session may present the old one again, and the server then gives out another successor.
func (t *tandemServer) Refresh(ctx context.Context, old Pair) (Grant, error) {
	grant, sessionID, err := t.grant(ctx, refreshPath, map[string]string{"refreshToken": old.RefreshToken})
	if no, ok := answered(err); ok && no.definitive() {
		switch no.Code {
		case "invalid_grant", "session_ended":
			return Grant{}, &EndedError{SessionID: old.SessionID, Reason: rotation.EndReason(no.reason), Err: no}
		case codeStale:
			return Grant{}, ErrStale
		}
	}
	if err != nil {
		return Grant{}, err
	}
	if sessionID != old.SessionID {
		return Grant{}, errors.New("server answered with another session than was asked for")
	}
	return grant, nil
}

// Revoke tells the server that the session has ended. It makes up to maxAttempts attempts,
// because a session that has ended on the client alone stays open at the server.
func (t *tandemServer) Revoke(ctx context.Context, refreshToken string) error {
	for attempt := 1; ; attempt++ {
		_, err := t.post(ctx, logoutPath, map[string]string{"refreshToken": refreshToken})
		no, ok := answered(err)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case ok && !no.temporary():
			return no
		case attempt == maxAttempts || !pause(ctx, t.jitter, attempt, retryAfter(err, t.now())):
			return t.temporary(err)
		}
	}
}

func (t *tandemServer) temporary(err error) *TemporaryError {
	return &TemporaryError{RetryAt: t.now().Add(retryAfter(err, t.now())), Err: err}
}

// grant posts body, checks the tokens in the answer and returns them with their session
// ID.
func (t *tandemServer) grant(ctx context.Context, path string, body map[string]string) (Grant, string, error) {
	a, err := t.post(ctx, path, body)
	if err = cmp.Or(err, a.err); err != nil {
		return Grant{}, "", err
	}
	grant := Grant{
		AccessToken:      a.text("accessToken"),
		RefreshToken:     a.text("refreshToken"),
		ExpiresIn:        a.seconds("expiresIn"),
		RefreshExpiresIn: a.seconds("refreshExpiresIn"),
	}
	sessionID := a.text("sessionId")
	switch {
	case !isToken(grant.AccessToken), !isToken(grant.RefreshToken), sessionID == "":
		err = errors.New("server answered without a pair of tokens")
	case !strings.EqualFold(a.text("tokenType"), "Bearer"):
		err = errors.New("server answered with a token type other than Bearer")
	case grant.ExpiresIn == 0:
		err = errors.New("server answered without a sensible expiresIn")
	}
	return grant, sessionID, err
}

// post sends body as JSON and reads the answer.
func (t *tandemServer) post(ctx context.Context, path string, body map[string]string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	return t.do(req, body["password"], body["refreshToken"])
}
