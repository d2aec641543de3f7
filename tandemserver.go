package tandem

import (
	"bytes"
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

// A tandemServer makes the calls that sign in, refresh and sign out, of Tandem's own
// server. It is a [Refresher] and a [Revoker], and keeps no state.
type tandemServer struct {
	endpoint
	base    *url.URL
	device  string
	timeout time.Duration
	jitter  func(limit time.Duration) time.Duration
}

func newTandemServer(base *url.URL, config Config) tandemServer {
	return tandemServer{
		endpoint: newEndpoint(config.Transport, config.Now),
		base:     base,
		device:   config.Device,
		timeout:  config.RefreshTimeout,
		jitter:   config.Jitter,
	}
}

// errStale is what becomes of a refresh token that is neither current nor newer
// while the session lives.
var errStale = errors.New("refresh token is stale: another holder of the session has refreshed since")

// isAuthCall reports whether u is a call that must not carry an access token,
// and whose 401 has nothing to do with one.
func (t tandemServer) isAuthCall(u *url.URL) bool {
	if t.base == nil {
		return false
	}
	path, ok := strings.CutPrefix(u.Path, t.base.Path)
	return ok && (path == loginPath || path == refreshPath) && originOf(u) == originOf(t.base)
}

func (t tandemServer) signIn(ctx context.Context, username, password string) (Pair, error) {
	body := map[string]string{"username": username, "password": password}
	if t.device != "" {
		body["device"] = t.device
	}
	pair, err := t.pair(ctx, loginPath, body)
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
	case no.temporary() || no.status < http.StatusBadRequest: // a redirect, of what is in between
		return Pair{}, t.temporary(no)
	}
	return Pair{}, no
}

// Refresh makes one attempt. The error is an *EndedError, errStale, or something
// that may pass, maybe a *refusal.
func (t tandemServer) Refresh(ctx context.Context, old Pair) (Grant, error) {
	pair, err := t.pair(ctx, refreshPath, map[string]string{"refreshToken": old.RefreshToken})
	var no *refusal
	if errors.As(err, &no) && !no.temporary() {
		switch no.code {
		case "invalid_grant", "session_ended":
			return Grant{}, &EndedError{Reason: rotation.EndReason(no.reason)}
		case "stale_refresh_token":
			return Grant{}, errStale
		}
	}
	if err != nil {
		return Grant{}, err
	}
	if pair.SessionID != old.SessionID {
		return Grant{}, errors.New("server answered with another session than was asked for")
	}
	return Grant{AccessToken: pair.AccessToken, RefreshToken: pair.RefreshToken, ExpiresIn: pair.ExpiresAt.Sub(pair.ReceivedAt)}, nil
}

// Revoke tells the server that the session has ended. It tries more than once:
// a sign-out that is only half done is worse than one that takes a second.
func (t tandemServer) Revoke(ctx context.Context, refreshToken string) error {
	for attempt := 1; ; attempt++ {
		err := t.post(ctx, logoutPath, map[string]string{"refreshToken": refreshToken}, nil)
		var no *refusal
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &no) && !no.temporary():
			return no
		case attempt == maxAttempts || !pause(ctx, t.jitter, attempt, retryAfter(err, t.now())):
			return t.temporary(err)
		}
	}
}

func (t tandemServer) temporary(err error) *TemporaryError {
	return &TemporaryError{RetryAt: t.now().Add(retryAfter(err, t.now())), Err: err}
}

// pair posts body and returns the pair that is answered, its shape checked.
func (t tandemServer) pair(ctx context.Context, path string, body map[string]string) (Pair, error) {
	var answer struct {
		AccessToken  string  `json:"accessToken"`
		RefreshToken string  `json:"refreshToken"`
		TokenType    string  `json:"tokenType"`
		ExpiresIn    float64 `json:"expiresIn"`
		SessionID    string  `json:"sessionId"`
	}
	if err := t.post(ctx, path, body, &answer); err != nil {
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
	now := t.now()
	return Pair{
		SessionID:    answer.SessionID,
		AccessToken:  answer.AccessToken,
		RefreshToken: answer.RefreshToken,
		ReceivedAt:   now,
		ExpiresAt:    now.Add(time.Duration(answer.ExpiresIn * float64(time.Second))),
	}, nil
}

// post sends body as JSON and reads the answer into answer, which may be nil.
func (t tandemServer) post(ctx context.Context, path string, body map[string]string, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base.JoinPath(path).String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	return t.do(req, answer, body["password"], body["refreshToken"])
}
