// Package faultproxy is a loopback proxy that treats requests as a bad network
// would: for the demonstration, and for tests.
package faultproxy

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"
)

// A Fault is what happens to one request.
type Fault uint8

const (
	// None: the request passes.
	None Fault = iota
	// DropRequest: the connection is cut before the server hears of the request.
	DropRequest
	// DropReply: the server answers, and the connection is cut before the client
	// hears of it.
	DropReply
	// Unavailable: the proxy answers 503 itself.
	Unavailable
	// Unauthorized: the proxy answers 401 itself, as an API does whose keys have
	// changed.
	Unauthorized
)

// A Proxy listens on a free loopback port and passes requests on to a target.
type Proxy struct {
	listener net.Listener
	server   *http.Server
	upstream *http.Transport
	served   sync.WaitGroup
}

var errDropped = errors.New("reply dropped")

// Start returns a proxy in front of target. For each request it asks choose what
// is to happen; before a reply is dropped or passed on, answered is called with
// the request, if it is set: at that moment the server has done its part and the
// client does not know.
func Start(target string, choose func(*http.Request) Fault, answered func(*http.Request)) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	// A connection of its own for each request: one that a dying server has left
	// behind would be a fault that nobody chose.
	p := &Proxy{listener: listener, upstream: &http.Transport{DisableKeepAlives: true}}
	p.server = &http.Server{
		Handler:           p.handler(to, choose, answered),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	p.served.Go(func() { _ = p.server.Serve(listener) })
	return p, nil
}

type faultKey struct{}

func (p *Proxy) handler(to *url.URL, choose func(*http.Request) Fault, answered func(*http.Request)) http.Handler {
	reverse := &httputil.ReverseProxy{
		Transport: p.upstream,
		ErrorLog:  log.New(io.Discard, "", 0),
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(resp *http.Response) error {
			if answered != nil {
				answered(resp.Request)
			}
			if resp.Request.Context().Value(faultKey{}) == DropReply {
				return errDropped
			}
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if errors.Is(err, errDropped) {
				panic(http.ErrAbortHandler)
			}
			http.Error(w, "bad gateway", http.StatusBadGateway)
		},
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault := choose(r)
		switch fault {
		case DropRequest:
			panic(http.ErrAbortHandler)
		case Unavailable:
			http.Error(w, "no server is available to handle this request", http.StatusServiceUnavailable)
			return
		case Unauthorized:
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			http.Error(w, "the access token is refused", http.StatusUnauthorized)
			return
		}
		reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), faultKey{}, fault)))
	})
}

// URL returns the proxy's address.
func (p *Proxy) URL() string { return "http://" + p.listener.Addr().String() }

// Close cuts all connections and waits for the proxy to end. It may be called
// twice.
func (p *Proxy) Close() error {
	err := p.server.Close()
	p.served.Wait()
	p.upstream.CloseIdleConnections()
	return err
}
