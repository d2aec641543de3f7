// Package sidecar is a reverse proxy on this machine that makes a session's
// requests for programs in any language: it adds the access token, refreshes it, and
// sends what was refused once more.
package sidecar

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/repeat"
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
	// Transport is the way to the target. Defaults to NewTransport(nil).
	Transport http.RoundTripper
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
	if config.Transport == nil {
		config.Transport = NewTransport(nil)
	}
	session := &watched{reload: config.Reload, logger: config.Logger}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { rewrite(r, config) },
		ModifyResponse: func(resp *http.Response) error { return adapt(resp, config) },
		Transport:      config.Session.Transport(config.Transport),
		FlushInterval:  -1,
		ErrorLog:       slog.NewLogLogger(config.Logger.Handler(), slog.LevelDebug),
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				config.Logger.WarnContext(r.Context(), "request failed", "method", r.Method, "error", err)
			}
			visitOf(r.Context()).restore()
			answer(w, r, err)
		},
	}
	return guard(config, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if leave(w, r, config) {
			return
		}
		r, ok := admit(w, r, config)
		if !ok {
			refuse(w)
			return
		}
		if hasSecret(visitOf(r.Context()).path, config.Secret) || hasSecret(r.URL.RawQuery, config.Secret) {
			write(w, http.StatusForbidden, "forbidden", "the secret is in the path or the query once more, and would go to the target")
			return
		}
		if r.ContentLength < 0 || r.ContentLength > replayLimit {
			// The target may answer before it has read everything.
			_ = http.NewResponseController(w).EnableFullDuplex()
		}
		if err := keepSmallBody(r); err != nil {
			write(w, http.StatusBadRequest, "invalid_request", "the body did not arrive in full")
			return
		}
		if err := session.takeUp(r.Context()); err != nil {
			answer(w, r, err)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
}

// keepSmallBody makes a request with a small body one that can be sent again. Nobody has
// to be asked whether the body is wanted then.
func keepSmallBody(r *http.Request) error {
	if r.ContentLength <= 0 || r.ContentLength > replayLimit {
		return nil
	}
	_, err := repeat.Buffer(r, r.Body, replayLimit)
	r.Header.Del("Expect")
	return err
}
