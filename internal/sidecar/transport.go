package sidecar

import (
	"crypto/tls"
	"net"
	"net/http"
	"time"
)

// maxSilence is how long a connection to the target may be silent while something is
// expected on it.
const maxSilence = 15 * time.Second

// NewTransport returns a transport like base that asks for no compression by itself, and
// so leaves bodies as they come, and that speaks HTTP/1.1 where a connection is to be
// upgraded. It takes connections that are dead for broken within 15 seconds. Without a
// base it is like http.DefaultTransport.
func NewTransport(base *http.Transport) http.RoundTripper {
	if base == nil {
		base, _ = http.DefaultTransport.(*http.Transport)
		if base == nil {
			base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
		}
		base = base.Clone()
		base.HTTP2 = &http.HTTP2Config{SendPingTimeout: maxSilence * 2 / 3, PingTimeout: maxSilence / 3}
		dialer := &net.Dialer{
			Timeout:         30 * time.Second,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: maxSilence / 3, Interval: maxSilence / 3, Count: 2},
			Control:         boundSilence,
		}
		base.DialContext = dialer.DialContext
	}
	t := &transport{usual: base.Clone(), upgrades: base.Clone()}
	t.usual.DisableCompression = true
	t.upgrades.DisableCompression = true
	t.upgrades.ForceAttemptHTTP2 = false
	if t.upgrades.TLSClientConfig != nil {
		t.upgrades.TLSClientConfig.NextProtos = nil // base may have HTTP/2 in there
	}
	t.upgrades.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	t.upgrades.Protocols = new(http.Protocols)
	t.upgrades.Protocols.SetHTTP1(true)
	return t
}

type transport struct{ usual, upgrades *http.Transport }

// RoundTrip is described at [NewTransport].
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Header.Get("Upgrade") != "" {
		return t.upgrades.RoundTrip(r)
	}
	return t.usual.RoundTrip(r)
}

// CloseIdleConnections is for [http.Client.CloseIdleConnections].
func (t *transport) CloseIdleConnections() {
	t.usual.CloseIdleConnections()
	t.upgrades.CloseIdleConnections()
}
