// Package loopback tells which addresses lead to this machine itself, where no network can
// listen in.
package loopback

import (
	"net/netip"
	"net/url"
	"strings"
)

// IsHost reports whether a host without a port is of this machine, as far as its text tells:
// localhost, a name under it (RFC 6761 section 6.3) or a loopback address.
func IsHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return host == "localhost" || strings.HasSuffix(host, ".localhost")
	}
	return addr.Unmap().IsLoopback()
}

// IsURL reports whether the host of a URL is of this machine.
func IsURL(address string) bool {
	u, err := url.Parse(address)
	return err == nil && IsHost(u.Hostname())
}
