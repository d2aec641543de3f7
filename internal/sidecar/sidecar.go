// Package sidecar is a reverse proxy on this machine that makes a session's
// requests for programs in any language: it adds the access token, refreshes it, and
// sends what was refused once more.
package sidecar

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/repeat"
	"github.com/tandem-auth/tandem/internal/retryafter"
)

// A Config says whose requests are made, and where. Session and Target are needed, and
// Secret unless the proxy is Private.
type Config struct {
	Session *tandem.Session
	// Reload is called before every request, and takes up what other processes have done to
	// the session. A request for which it returns a [*tandem.OtherServerError] is answered
	// with that and goes nowhere; with another error the session goes on as it is. Defaults
	// to Session.Reload.
	Reload func(ctx context.Context) error
	// Target is where requests go: their path is added to its.
	Target *url.URL
	// Secret keeps out other users of the machine, and pages in a browser: it is the
	// first element of the path, or in the SecretHeader.
	Secret string
	// Private is of a listener that only the session's owner can reach, such as that of
	// [ListenPrivate]: the proxy asks for no secret, and answers to any host name.
	Private bool
	// Origins are those whose pages may make requests, such as
	// "http://localhost:5173", besides pages that came through the proxy. Defaults to
	// none.
	Origins []string
	// AnyHost has the proxy answer to any host name. By default it answers to
	// "localhost" and to addresses alone: to no name, then, that a page in a browser
	// could make point here (DNS rebinding).
	AnyHost bool
	// Logger hears of requests that failed, and of what Reload has returned. Defaults to
	// none.
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
	if config.Reload == nil {
		config.Reload = config.Session.Reload
	}
	session := &watched{reload: config.Reload, logger: config.Logger}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { rewrite(r, config) },
		ModifyResponse: func(resp *http.Response) error { return adapt(resp, config) },
		Transport:      config.Session.Transport(nil),
		FlushInterval:  -1,
		ErrorLog:       slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				config.Logger.WarnContext(r.Context(), "request failed", "method", r.Method, "error", err)
			}
			answer(w, err)
		},
	}
	return guard(config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leave(w, r, config) {
			return
		}
		r, ok := admit(r, config)
		if !ok {
			refuse(w)
			return
		}
		if err := keepSmallBody(r); err != nil {
			write(w, http.StatusBadRequest, "invalid_request", "the body did not arrive in full")
			return
		}
		if err := session.takeUp(r.Context()); err != nil {
			answer(w, err)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

func rewrite(r *httputil.ProxyRequest, config Config) {
	r.SetURL(config.Target)
	// A page that came through here has the secret in its address.
	if from, err := url.Parse(r.Out.Header.Get("Referer")); err != nil || from.Host == r.In.Host {
		r.Out.Header.Del("Referer")
	}
	withholdSecret(r.Out.Header, config.Secret)
	// The session's is to go out, whatever placeholder the program has put in.
	r.Out.Header.Del("Authorization")
	// Whether a page may ask has been decided here: to the target it is a program that
	// does.
	for name := range r.Out.Header {
		if name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-") {
			r.Out.Header.Del(name)
		}
	}
	if _, ok := r.Out.Header["User-Agent"]; !ok {
		r.Out.Header.Set("User-Agent", "") // not Go's own
	}
}

// keepSmallBody makes a request with a small body one that can be sent again.
func keepSmallBody(r *http.Request) error {
	if r.ContentLength <= 0 || r.ContentLength > replayLimit {
		return nil
	}
	_, err := repeat.Buffer(r, r.Body, replayLimit)
	return err
}

// answer tells the program why its request was not made.
func answer(w http.ResponseWriter, err error) {
	var (
		once      *tandem.BodyNotReplayableError
		ended     *tandem.EndedError
		other     *tandem.OtherServerError
		temporary *tandem.TemporaryError
	)
	switch {
	case errors.Is(err, errElsewhere):
		write(w, http.StatusBadGateway, "redirect_elsewhere", "the target has redirected to another place, and a program that follows takes the secret in its header along: put the secret into the path instead")
	case errors.As(err, &once): // the token is fresh now: the program's own retry works
		forward(w, once.Response)
	case errors.As(err, &ended):
		write(w, http.StatusUnauthorized, "session_ended", "the session has ended ("+string(ended.Reason)+"): run tandem login, and go on")
	case errors.Is(err, tandem.ErrNotSignedIn):
		write(w, http.StatusUnauthorized, "not_signed_in", "nobody is signed in: run tandem login, and go on")
	case errors.As(err, &other):
		write(w, http.StatusUnauthorized, "other_server", "somebody has signed in at "+other.Have+" in the profile of this proxy, which is for "+other.Want+
			": sign in there again, and go on, or start another tandem proxy")
	case errors.As(err, &temporary):
		w.Header().Set(retryafter.Name, retryafter.Format(time.Until(temporary.RetryAt)))
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
