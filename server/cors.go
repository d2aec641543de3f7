package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/cors"
	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/idna"
)

// withCORS adds CORS to the handler if there are allowed origins. It does not pass an
// empty list to the library, which would allow all origins.
func (s *Server) withCORS(next http.Handler) http.Handler {
	if len(s.cfg.AllowedOrigins) == 0 {
		return next
	}
	headers := s.cfg.AllowedHeaders
	if len(headers) == 0 {
		headers = []string{"*"}
	}
	options := cors.Options{
		AllowedOrigins:   canonicalOrigins(s.cfg.AllowedOrigins),
		AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders:   append(slices.Clone(headers), cookieHeader),
		AllowCredentials: s.cfg.AllowCredentials,
		ExposedHeaders:   []string{"WWW-Authenticate", "Retry-After"},
		MaxAge:           int(time.Hour / time.Second),
	}
	usual := cors.New(options).Handler(next)
	options.AllowCredentials = true
	withCookies := cors.New(options).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isCookieMode(r) {
			withCookies.ServeHTTP(w, r)
			return
		}
		usual.ServeHTTP(w, r)
	})
}

// isCookieMode reports whether a request is in cookie mode, or is the preflight of one.
func isCookieMode(r *http.Request) bool {
	if r.Header.Get(cookieHeader) != "" {
		return true
	}
	asked := strings.Split(r.Header.Get("Access-Control-Request-Headers"), ",")
	return slices.ContainsFunc(asked, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), cookieHeader) })
}

func checkOrigins(origins []string) error {
	for _, origin := range origins {
		if _, err := canonicalOrigin(origin); err != nil {
			return err
		}
	}
	return nil
}

// canonicalOrigins returns origins, which checkOrigins has accepted, in the form that
// browsers send.
func canonicalOrigins(origins []string) []string {
	var list []string
	for _, origin := range origins {
		if canonical, err := canonicalOrigin(origin); err == nil {
			list = append(list, canonical)
		}
	}
	return list
}

// opaque are the schemes for whose pages every browser sends the origin "null".
var opaque = []string{"file", "data", "blob", "filesystem", "javascript", "about"}

// canonicalOrigin returns an origin in the form that browsers send (RFC 6454 section 6.2,
// and the URL standard for hosts): scheme and host in lower case, the host in its ASCII
// form, and no port if it is the scheme's default.
func canonicalOrigin(text string) (string, error) {
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

func checkHeaders(names []string) error {
	for _, name := range names {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q is no name of a header", name)
		}
	}
	return nil
}
