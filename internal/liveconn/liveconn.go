// Package liveconn finds dead connections. After a change of networks, or when a NAT has
// dropped the connection, requests would otherwise hang for a quarter of an hour.
package liveconn

import (
	"context"
	"net"
	"net/http"
	"time"
)

// MaxSilence is how long a connection may be silent while a client waits for data.
const MaxSilence = 15 * time.Second

// Transport returns a copy of base that closes a connection after silence: it sends pings
// over HTTP/2, and has the kernel probe all other connections. It leaves the pings of base
// as they are if there are any. If base dials in a way of its own, such as a browser's,
// only the pings apply; a base that is not an [http.Transport] is returned unchanged.
func Transport(base http.RoundTripper, silence time.Duration) http.RoundTripper {
	original, ok := base.(*http.Transport)
	if !ok {
		return base
	}
	bounded := original.Clone()
	if bounded.HTTP2 == nil {
		bounded.HTTP2 = &http.HTTP2Config{}
	}
	if bounded.HTTP2.SendPingTimeout == 0 {
		bounded.HTTP2.SendPingTimeout = silence * 2 / 3
		bounded.HTTP2.PingTimeout = silence / 3
	}
	dial := bounded.DialContext
	if dial == nil {
		return bounded
	}
	bounded.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok && err == nil {
			boundSilence(tcp, silence)
		}
		return conn, err
	}
	return bounded
}

// keepAliveProbes is after how many unanswered probes in a row the kernel closes a
// connection.
const keepAliveProbes = 2

// boundSilence has the kernel close a connection whose peer has acknowledged nothing for
// so long. A slow server still acknowledges, so the client waits for its answer. Where the
// system lacks an option, its own limit applies.
func boundSilence(conn *net.TCPConn, silence time.Duration) {
	interval := silence / (keepAliveProbes + 1)
	_ = conn.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: interval, Interval: interval, Count: keepAliveProbes})
	if raw, err := conn.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { setUserTimeout(fd, silence) })
	}
}
