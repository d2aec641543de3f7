package main

import (
	"net/url"

	"github.com/tandem-auth/tandem/internal/loopback"
)

// warnOfClearText warns of each address to which passwords and tokens would travel
// unencrypted.
func warnOfClearText(c console, addresses ...string) {
	for _, address := range addresses {
		if isClearText(address) {
			c.warn("clear_text", "warning: %s is another machine and has no TLS: passwords and tokens cross the network in clear text; use https://", address)
		}
	}
}

// isClearText reports whether a URL names another machine and has no TLS.
func isClearText(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "http" && !loopback.IsHost(u.Hostname())
}
