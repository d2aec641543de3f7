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

// errElsewhere is of a redirect that a program would follow with the secret in a header.
var errElsewhere = errors.New("the target has redirected to another place")

// adapt makes an answer one of the proxy's: where it points to the target it points
// here, and who may read it is not the target's business.
func adapt(resp *http.Response, config Config) error {
	v := visitOf(resp.Request.Context())
	v.restore()
	readers(resp.Header, v)
	if resp.Header["Content-Type"] == nil {
		v.writer.Header()["Content-Type"] = nil // or else the server would guess one
	}
	resp.Header.Del("Alt-Svc") // the target's other addresses are none of the proxy's
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
		text = u.String() // relative to the target, it would be of the proxy's for the client
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

// readers takes off who may read an answer to a page: that has been decided here.
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

// locate returns where something at the target is for a client of the proxy, from the
// mount on; false if it is not at the target.
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

// hostPort returns host and port, with the scheme's own port if there is none.
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

// keepAddress has a browser tell nobody else the address of a page that came through
// here, which has the secret in it.
func keepAddress(header http.Header) {
	policy := strings.ToLower(strings.Join(header.Values("Referrer-Policy"), ","))
	if policy == "" || strings.Contains(policy, "unsafe-url") || strings.Contains(policy, "no-referrer-when-downgrade") {
		header.Set("Referrer-Policy", "strict-origin-when-cross-origin")
	}
}

// leavePrefix begins a path that needs no secret, and redirects to another place. Some
// clients, Go's among them, tell where they are redirected to which address they come
// from: this one may be told.
const leavePrefix = "/~elsewhere/"

// leavePath returns the path of a redirect to another place. It has a code of the
// secret's, so that nobody else can make one.
func leavePath(status int, to, secret string) string {
	return leavePrefix + strconv.Itoa(status) + "/" + leaveCode(status, to, secret) + "?to=" + url.QueryEscape(to)
}

func leaveCode(status int, to, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(strconv.Itoa(status) + " " + to))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// leave answers a request for a path of leavePath, and reports whether it was one.
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
