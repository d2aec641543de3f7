// Package sidecar is a reverse proxy on this machine that makes a session's
// requests for programs in any language: it adds the access token, refreshes it, and
// sends what was refused once more.
package sidecar

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
)

// SecretHeader has the secret, for clients that do not have it in the path.
const SecretHeader = "Tandem-Proxy-Secret"

// NewSecret returns a random secret that fits into a path.
func NewSecret() (string, error) {
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// A Config says whose requests are made, and where. All fields are needed but the
// Logger.
type Config struct {
	Session *tandem.Session
	// Target is where requests go: their path is added to its.
	Target *url.URL
	// Secret keeps out other users of the machine, and pages in a browser: it is the
	// first element of the path, or in the SecretHeader.
	Secret string
	Logger *slog.Logger
}

// replayLimit is the largest body that is kept in memory to be sent again. What is
// larger, or of unknown length, streams through.
const replayLimit = 1 << 20

// New returns the proxy. Answers stream, and connections may be upgraded
// (WebSocket).
func New(config Config) http.Handler {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { rewrite(r, config) },
		Transport:     config.Session.Transport(nil),
		FlushInterval: -1,
		ErrorLog:      slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				config.Logger.WarnContext(r.Context(), "request failed", "method", r.Method, "error", err)
			}
			answer(w, err)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !admit(r, config.Secret) {
			refuse(w)
			return
		}
		if err := keepSmallBody(r); err != nil {
			write(w, http.StatusBadRequest, "invalid_request", "the body did not arrive in full")
			return
		}
		proxy.ServeHTTP(w, r)
	})
}

// admit reports whether a request has the secret, and takes it off.
func admit(r *http.Request, secret string) bool {
	given := r.Header.Get(SecretHeader)
	r.Header.Del(SecretHeader)
	if given == "" {
		first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		given = first
		r.URL.Path = "/" + rest
		if r.URL.RawPath != "" {
			_, rawRest, _ := strings.Cut(strings.TrimPrefix(r.URL.RawPath, "/"), "/")
			r.URL.RawPath = "/" + rawRest
		}
	}
	return subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
}

func rewrite(r *httputil.ProxyRequest, config Config) {
	r.SetURL(config.Target)
	if strings.Contains(r.Out.Header.Get("Referer"), config.Secret) { // of a page that came through here
		r.Out.Header.Del("Referer")
	}
	// The session's is to go out, whatever placeholder the program has put in.
	r.Out.Header.Del("Authorization")
	if _, ok := r.Out.Header["User-Agent"]; !ok {
		r.Out.Header.Set("User-Agent", "") // not Go's own
	}
}

// keepSmallBody makes a request with a small body one that can be sent again.
func keepSmallBody(r *http.Request) error {
	if r.ContentLength <= 0 || r.ContentLength > replayLimit {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, _ = r.GetBody()
	return nil
}

// answer tells the program why its request was not made.
func answer(w http.ResponseWriter, err error) {
	var (
		once      *tandem.BodyNotReplayableError
		ended     *tandem.EndedError
		temporary *tandem.TemporaryError
	)
	switch {
	case errors.As(err, &once): // the token is fresh now: the program's own retry works
		forward(w, once.Response)
	case errors.As(err, &ended):
		write(w, http.StatusUnauthorized, "session_ended", "the session has ended ("+string(ended.Reason)+"): run tandem login, and go on")
	case errors.Is(err, tandem.ErrNotSignedIn):
		write(w, http.StatusUnauthorized, "not_signed_in", "nobody is signed in: run tandem login, and go on")
	case errors.As(err, &temporary):
		wait := math.Ceil(time.Until(temporary.RetryAt).Seconds())
		w.Header().Set("Retry-After", strconv.Itoa(int(max(1, wait))))
		write(w, http.StatusServiceUnavailable, "temporarily_unavailable", "no access token just now, the session lives on: try again")
	default:
		write(w, http.StatusBadGateway, "bad_gateway", "the target could not be reached")
	}
}

func refuse(w http.ResponseWriter) {
	write(w, http.StatusForbidden, "forbidden", "the first element of the path, or the header "+SecretHeader+", must be the secret that tandem proxy has printed")
}

func forward(w http.ResponseWriter, resp *http.Response) {
	for name, values := range resp.Header {
		if name != "Content-Length" { // the body may have been cut
			w.Header()[name] = values
		}
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = io.Copy(w, resp.Body)
}

func write(w http.ResponseWriter, status int, code, description string) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
}
