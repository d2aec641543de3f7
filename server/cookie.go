package server

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/internal/loopback"
	"github.com/tandem-auth/tandem/rotation"
)

// securePrefix makes a browser refuse the cookie unless it is Secure
// (draft-ietf-httpbis-rfc6265bis section 4.1.3.1).
const securePrefix = "__Secure-"

// The length of the parts that follow the jar's name in the name of a cookie.
const (
	sessionPartLen = 12
	tokenPartLen   = 8
)

// cookieRules say how the server names and sets the cookies of cookie mode.
//
// Each refresh token has a cookie of its own, whose name is made from the jar, the session
// and the token. A reply that arrives late therefore replaces no cookie of a newer token
// or of another session. The server deletes the cookies of older tokens with the next
// reply.
//
// A cookie has neither Domain nor Path: the browser sends it to the host and the folder of
// the address that set it, as the page sees that address. A proxy may change both.
type cookieRules struct {
	sameSite http.SameSite
	// https is whether the issuer is an https URL. Then the server neither sets nor reads
	// cookies without the prefix, because a page of http could set those.
	https bool
}

func newCookieRules(c Config) cookieRules {
	return cookieRules{sameSite: c.CookieSameSite, https: isHTTPS(c.Issuer)}
}

// areSecure reports whether cookies for the page of a request are Secure. They are not if
// the page is one of plain http, localhost included, where Safari refuses them.
func (c cookieRules) areSecure(r *http.Request) bool {
	return c.https || c.sameSite == http.SameSiteNoneMode || isHTTPS(r.Header.Get("Origin"))
}

// cookie returns a cookie with the attributes for the page of a request. A lifetime that
// is not positive deletes the cookie.
func (c cookieRules) cookie(r *http.Request, name, value string, lifetime time.Duration) *http.Cookie {
	maxAge := int(lifetime / time.Second)
	if maxAge <= 0 {
		maxAge = -1
	}
	return &http.Cookie{ //nolint:gosec // Secure depends on the page
		Name:        name,
		Value:       value,
		MaxAge:      maxAge,
		HttpOnly:    true,
		Secure:      strings.HasPrefix(name, securePrefix) || c.areSecure(r),
		SameSite:    c.sameSite,
		Partitioned: c.sameSite == http.SameSiteNoneMode,
	}
}

// jarPrefix returns how the names of a jar's cookies begin, after the securePrefix.
func jarPrefix(jar string) string { return "tandem-" + jar + "-" }

// cookieName returns the name of the cookie of a refresh token, for the page of a request.
func (c cookieRules) cookieName(r *http.Request, jar string, token rotation.Token) string {
	name := fmt.Sprintf("%s%s-%08x", jarPrefix(jar), sessionPart(token.Session), uint32(token.Branch))
	if c.areSecure(r) {
		return securePrefix + name
	}
	return name
}

func sessionPart(id rotation.SessionID) string { return id.String()[:sessionPartLen] }

// cutCookieName returns the session's part of the name of a cookie, if the cookie is one
// of the jar.
func (c cookieRules) cutCookieName(name, jar string) (session string, ok bool) {
	name, secure := strings.CutPrefix(name, securePrefix)
	rest, ok := strings.CutPrefix(name, jarPrefix(jar))
	if !ok || len(rest) != sessionPartLen+1+tokenPartLen || c.https && !secure {
		return "", false
	}
	return rest[:sessionPartLen], true
}

func isHTTPS(address string) bool {
	return len(address) > len("https:") && strings.EqualFold(address[:len("https:")], "https:")
}

func checkCookieSameSite(mode http.SameSite, issuer string) error {
	switch mode {
	case http.SameSiteStrictMode, http.SameSiteLaxMode:
		return nil
	case http.SameSiteNoneMode:
		if isHTTPS(issuer) || loopback.IsURL(issuer) {
			return nil
		}
		return fmt.Errorf("None needs an https issuer: browsers refuse such cookies from %s", issuer)
	}
	return fmt.Errorf("%d is none of http.SameSiteStrictMode, http.SameSiteLaxMode and http.SameSiteNoneMode", mode)
}

// warnOfPlainCookies warns if a browser will send the cookies of cookie mode over plain
// http.
func (s *Server) warnOfPlainCookies() {
	if s.cookies.https || loopback.IsURL(s.cfg.Issuer) {
		return
	}
	s.cfg.Logger.Warn("the cookies of cookie mode cross the network in clear text: the issuer is a plain http address; "+
		"put a proxy with TLS before the server, and name its address as the issuer",
		"issuer", s.cfg.Issuer)
}
