// Package origin converts the origins that people write into settings to the form that
// browsers send in the Origin header (RFC 6454 section 6.2, and the URL standard for
// hosts): scheme and host in lower case, the host in its ASCII form, and no port if it is
// the scheme's default.
package origin

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// CanonicalAll is [Canonical] for several origins. The error is about the first one that is
// none.
func CanonicalAll(texts []string) ([]string, error) {
	var all []string
	for _, text := range texts {
		origin, err := Canonical(text)
		if err != nil {
			return nil, err
		}
		all = append(all, origin)
	}
	return all, nil
}

// opaque are the schemes for whose pages every browser sends the origin "null".
var opaque = []string{"file", "data", "blob", "filesystem", "javascript", "about"}

// Canonical returns an origin in the form that browsers send. The error says what is wrong
// with the text.
func Canonical(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || strings.Contains(text, "*") || !strings.EqualFold(text, u.Scheme+"://"+u.Host) {
		return "", fmt.Errorf(`%q is not an origin: that is scheme, host and port only, such as "https://app.example.com", "http://localhost:5173" or "capacitor://localhost", with no path, no slash at the end and no wildcard`, text)
	}
	if slices.Contains(opaque, u.Scheme) {
		return "", fmt.Errorf(`%q is no origin that a page can have: the browser sends "null" for every page of %s:`, text, u.Scheme)
	}
	host, err := canonicalHost(u.Hostname())
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	if port := u.Port(); port != "" {
		number, err := strconv.ParseUint(port, 10, 16)
		if err != nil {
			return "", fmt.Errorf("%q: %s is not a port", text, port)
		}
		if !(u.Scheme == "https" && number == 443 || u.Scheme == "http" && number == 80) {
			host += ":" + strconv.FormatUint(number, 10)
		}
	}
	return u.Scheme + "://" + host, nil
}

func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil && addr.Zone() == "" {
		if addr.Is6() {
			return "[" + addr.String() + "]", nil
		}
		return addr.String(), nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r > '~' }) {
		ascii, err := idna.Lookup.ToASCII(host)
		if err != nil {
			return "", fmt.Errorf("the host is not a domain name: %w", err)
		}
		host = ascii
	}
	host = strings.ToLower(host)
	if strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789._-") != "" {
		return "", errors.New("the host is neither a domain name nor an IP address")
	}
	return host, nil
}
