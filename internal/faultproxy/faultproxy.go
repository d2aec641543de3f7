// Package faultproxy is a loopback proxy that simulates the faults of a bad network,
// for the demonstration and for tests.
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

// A Fault is what the proxy does to one request.
type Fault uint8

const (
	// None: the proxy forwards the request.
	None Fault = iota
	// DropRequest: the proxy cuts the connection before the server gets the request.
	DropRequest
	// DropReply: the server answers, and the proxy cuts the connection before the
	// client gets the answer.
	DropReply
	// Unavailable: the proxy answers 503 itself.
	Unavailable
	// Unauthorized: the proxy answers 401 itself, like an API whose keys have changed.
	Unauthorized
)

// A Proxy listens on a free loopback port and forwards requests to a target.
type Proxy struct {
	listener net.Listener
	server   *http.Server
	upstream *http.Transport
	served   sync.WaitGroup
}

var errDropped = errors.New("reply dropped")

// Start returns a proxy in front of target. It calls choose for each request to get the
// fault. If answered is set, the proxy calls it after the server has answered and
// before it drops or forwards the answer: at that moment the client does not know the
// answer yet.
func Start(target string, choose func(*http.Request) Fault, answered func(*http.Request)) (*Proxy, error) {
	to, err := url.Parse(target)
	if err != nil {
		return nil, err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "localhost:0")
	if err != nil {
		return nil, err
	}
	// Each request gets a connection of its own: a connection left from a server that
	// has stopped would cause a fault that choose did not ask for.
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
