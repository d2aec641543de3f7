package sidecar

import (
	"crypto/tls"
	"net/http"

	"github.com/tandem-auth/tandem/internal/liveconn"
)

// NewTransport returns a transport like base that requests no compression of its own, so
// that bodies pass unchanged, and that speaks HTTP/1.1 for requests with an Upgrade header.
// Without a base it returns one like http.DefaultTransport that closes a dead connection
// within 15 seconds.
func NewTransport(base *http.Transport) http.RoundTripper {
	if base == nil {
		base, _ = http.DefaultTransport.(*http.Transport)
		if base == nil {
			base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
		base, _ = liveconn.Transport(base, liveconn.MaxSilence).(*http.Transport)
	}
	t := &transport{usual: base.Clone(), upgrades: base.Clone()}
	t.usual.DisableCompression = true
	t.upgrades.DisableCompression = true
	t.upgrades.ForceAttemptHTTP2 = false
	if t.upgrades.TLSClientConfig != nil {
		t.upgrades.TLSClientConfig.NextProtos = nil // base may offer HTTP/2
	}
	t.upgrades.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.upgrades.Protocols = new(http.Protocols)
	t.upgrades.Protocols.SetHTTP1(true)
	return t
}

type transport struct{ usual, upgrades *http.Transport }

// RoundTrip implements [http.RoundTripper]: see [NewTransport].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	return t.usual.RoundTrip(r)
}

// CloseIdleConnections makes [http.Client.CloseIdleConnections] reach both transports.
func (t *transport) CloseIdleConnections() {
	t.usual.CloseIdleConnections()
	t.upgrades.CloseIdleConnections()
}
