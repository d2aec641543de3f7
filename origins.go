package tandem

import (
	"fmt"
	"net/url"
	"strings"
)

// origins is the set of origins (RFC 6454) that may see an access token.
type origins map[string]struct{}

// parseBase checks the URL of a server and returns it without a trailing slash.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, err
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

func (o origins) add(u *url.URL) { o[originOf(u)] = struct{}{} }

func (o origins) has(u *url.URL) bool {
	_, ok := o[originOf(u)]
	return ok
}

// originOf returns scheme, host and port, the port always named.
func originOf(u *url.URL) string {
	scheme := strings.ToLower(u.Scheme)
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	return scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}
