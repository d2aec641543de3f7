package server

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/tandem-auth/tandem/internal/origin"
)

// newCrossOrigin returns the check that keeps pages of other origins from using a user's
// cookies. It lets the pages of the issuer's origin and of AllowedOrigins pass.
func newCrossOrigin(c Config) (*http.CrossOriginProtection, error) {
	check := http.NewCrossOriginProtection()
	issuer, err := url.Parse(c.Issuer)
	if err != nil {
		return nil, err
	}
	trusted := c.AllowedOrigins
	if own, err := origin.Canonical(issuer.Scheme + "://" + issuer.Host); err == nil {
		trusted = append(slices.Clone(trusted), own)
	}
	for _, origin := range trusted {
		if err := check.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return check, nil
}

// checkOrigin refuses a request in cookie mode that a page of another origin has sent, by
// Sec-Fetch-Site or, where the browser does not send that (plain http), by Origin.
func (s *Server) checkOrigin(r *http.Request) error {
	if err := s.reloadable.Load().crossOrigin.Check(r); err != nil {
		return &problem{
			status: http.StatusForbidden,
			Code:   codeForbiddenOrigin,
			Description: "a page of another origin may not use the cookies of this server; " +
				"the server's operator can allow its origin (--allow-origin, Config.AllowedOrigins)",
		}
	}
	return nil
}
