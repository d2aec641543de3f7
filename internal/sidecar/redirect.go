package sidecar

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// errElsewhere refuses a redirect to another host: the program has sent the secret in a
// header, and would send that header there, too.
var errElsewhere = errors.New("the target has redirected to another place")

// adapt changes the target's answer for the proxy's client: addresses at the target become
// addresses at the proxy, and the proxy instead of the target decides which pages may read
// the answer.
func adapt(resp *http.Response, config Config) error {
	v := visitOf(resp.Request.Context())
	v.restore()
	readers(resp.Header, v)
	if resp.Header["Content-Type"] == nil {
		v.writer.Header()["Content-Type"] = nil // keeps net/http from guessing one
	}
	resp.Header.Del("Alt-Svc") // the client would take the target's other addresses for the proxy's
	if v.page && v.mount != "" {
		keepAddress(resp.Header)
	}
	base := *resp.Request.URL
	base.Opaque = ""
	if text := resp.Header.Get("Content-Location"); text != "" {
		if u, err := base.Parse(text); err == nil {
			if here, ok := locate(u, config.Target); ok {
				resp.Header.Set("Content-Location", v.at(here))
			}
		}
	}
	text := resp.Header.Get("Location")
	if text == "" {
		return nil
	}
	u, err := base.Parse(text)
	if err == nil {
		if here, ok := locate(u, config.Target); ok {
			resp.Header.Set("Location", v.at(here))
			return nil
		}
		text = u.String() // the client would resolve a relative address against the proxy's
	}
	switch {
	case !isRedirect(resp.StatusCode) || config.Private || v.page:
	case v.inHeader:
		return errElsewhere
	default:
		text = leavePath(resp.StatusCode, text, config.Secret)
	}
	resp.Header.Set("Location", text)
	return nil
}

// readers removes the target's CORS headers from an answer to a page: guard has decided
// which pages may read it.
func readers(header http.Header, v visit) {
	if !v.page {
		return
	}
	for name := range header {
		if strings.HasPrefix(name, "Access-Control-") {
			header.Del(name)
		}
	}
}

// locate returns the path, from the mount on, at which a client of the proxy finds a URL
// of the target; false if the URL is not below the target.
func locate(u, target *url.URL) (string, bool) {
	if u.Scheme != target.Scheme || hostPort(u) != hostPort(target) {
		return "", false
	}
	rest, inside := strings.CutPrefix(u.EscapedPath(), strings.TrimSuffix(target.EscapedPath(), "/"))
	if !inside || rest != "" && rest[0] != '/' {
		return "", false
	}
	if rest == "" {
		rest = "/"
	}
	if u.RawQuery != "" || u.ForceQuery {
		rest += "?" + u.RawQuery
	}
	if u.Fragment != "" {
		rest += "#" + u.EscapedFragment()
	}
	return rest, true
}

// hostPort returns host and port, with the scheme's default port if the URL has none.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// keepAddress makes the browser withhold the address of a page that came through the
// proxy, which contains the secret, from other sites (Referer).
func keepAddress(header http.Header) {
	policy := strings.ToLower(strings.Join(header.Values("Referrer-Policy"), ","))
	if policy == "" || strings.Contains(policy, "unsafe-url") || strings.Contains(policy, "no-referrer-when-downgrade") {
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	}
}

// leavePrefix begins a path of the proxy that needs no secret and redirects to another
// host. Some clients, Go's among them, send the address that redirected them as Referer to
// the next host: the proxy sends them through this path first, which has no secret in it.
const leavePrefix = "/~elsewhere/"

// leavePath returns the path of a redirect to another host. The path contains an HMAC
// under the secret, so that only the proxy can make one.
func leavePath(status int, to, secret string) string {
	return leavePrefix + strconv.Itoa(status) + "/" + leaveCode(status, to, secret) + "?to=" + url.QueryEscape(to)
}

func leaveCode(status int, to, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strconv.Itoa(status) + " " + to))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// leave answers a request for a path that leavePath made. It reports false, and writes
// nothing, for any other.
func leave(w http.ResponseWriter, r *http.Request, config Config) bool {
	rest, ok := strings.CutPrefix(r.URL.Path, leavePrefix)
	if !ok || config.Secret == "" {
		return false
	}
	number, code, _ := strings.Cut(rest, "/")
	status, _ := strconv.Atoi(number)
	to := r.URL.Query().Get("to")
	if !isRedirect(status) || !hmac.Equal([]byte(code), []byte(leaveCode(status, to, config.Secret))) {
		return false
	}
	w.Header().Set("Location", to)
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	return true
}
