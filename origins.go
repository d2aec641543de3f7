package tandem

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// origins is the set of origins (RFC 6454) to which a session sends its access token.
type origins struct {
	all map[string]struct{}
	// spelled has the origins as they were written, so that the lookup of a request with
	// the same spelling allocates no memory.
	spelled map[spelling]struct{}
}

type spelling struct{ scheme, host string }

// parseBase checks the URL of a server and returns it without a trailing slash.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil { // its text would quote s, with a password that s may have
		return nil, errors.New("it is no URL")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("%q is not an absolute http or https URL", u.Redacted())
	case u.User != nil:
		return nil, fmt.Errorf("%q: a user name or password does not belong in it", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("%q has a query or a fragment", u.Redacted())
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// issuerOf returns the name of the server at base, the same for all spellings of its URL.
func issuerOf(base *url.URL) string {
	name := url.URL{Scheme: strings.ToLower(base.Scheme), Host: strings.ToLower(base.Host), Path: base.Path}
	if port := base.Port(); name.Scheme == "https" && port == "443" || name.Scheme == "http" && port == "80" {
		name.Host = strings.TrimSuffix(name.Host, ":"+port)
	}
	return name.String()
}

func newOrigins() origins {
	return origins{all: map[string]struct{}{}, spelled: map[spelling]struct{}{}}
}

func (o origins) add(u *url.URL) {
	o.all[originOf(u)] = struct{}{}
	o.spelled[spelling{u.Scheme, u.Host}] = struct{}{}
}

func (o origins) has(u *url.URL) bool {
	if _, ok := o.spelled[spelling{u.Scheme, u.Host}]; ok {
		return true
	}
	_, ok := o.all[originOf(u)]
	return ok
}

// originOf returns scheme, host and port, with the default port spelled out.
func originOf(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	if port == "" {
		switch scheme {
		case "http":
			port = "80"
		case "https":
			port = "443"
		}
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
