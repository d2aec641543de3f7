// Package sidecar is a local reverse proxy with which programs in any language use a
// session: it adds the access token to their requests, refreshes the token, and repeats a
// request once if the target refused its token.
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

// A Config configures [New]. Session and Target are required, and Secret unless Private
// is set.
type Config struct {
	Session *tandem.Session
	// Reload brings the session up to date with what other processes have done to it. The
	// proxy calls it before every request, and waits for a second at most. If Reload returns
	// a [*tandem.OtherServerError], the proxy answers with that error and sends nothing to
	// the target; after any other error it uses the session as it is. Defaults to
	// Session.Reload.
	Reload func(ctx context.Context) error
	// Target is where the proxy sends requests; it appends their path to the target's.
	Target *url.URL
	// Secret keeps out other users of the machine and pages in a browser. Clients send it as
	// the first element of the path, or in the SecretHeader.
	Secret string
	// Private says that only the session's owner can reach the listener, as with
	// [ListenPrivate]: the proxy asks for no secret, and answers to any host name.
	Private bool
	// Transport sends requests to the target. Defaults to NewTransport(nil).
	Transport http.RoundTripper
	// Origins lists the origins whose pages may make requests, such as
	// "http://localhost:5173", in the form that browsers send (see package origin). Pages
	// that came through the proxy always may. Defaults to none.
	Origins []string
	// AnyHost makes the proxy answer to any host name. By default the proxy answers to
	// "localhost" and to IP addresses only, because the owner of a page can make any other
	// name resolve to this machine (DNS rebinding).
	AnyHost bool
	// Logger gets requests that failed and errors of Reload. Defaults to none.
	Logger *slog.Logger
}

// replayLimit, in bytes, is the largest body that the proxy keeps in memory to send it
// again. It streams a body that is larger or of unknown length.
const replayLimit = 1 << 20

// New returns the proxy. It streams answers, and passes on connection upgrades
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
			// The target may answer before it has read the whole body.
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

// keepSmallBody reads a small body into memory, so that the session can send the request
// again. The body is here by then: there is no reason to ask the target whether it wants
// it (Expect: 100-continue).
func keepSmallBody(r *http.Request) error {
	if r.ContentLength <= 0 || r.ContentLength > replayLimit {
		return nil
	}
	_, err := repeat.Buffer(r, r.Body, replayLimit)
	r.Header.Del("Expect")
	return err
}
