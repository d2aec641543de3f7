package sidecar

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// SecretHeader has the secret, for clients that do not have it in the path.
const SecretHeader = "Tandem-Proxy-Secret"

// NewSecret returns a random secret that fits into a path.
func NewSecret() (string, error) {
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// A visit is what an answer depends on of its request, which is not sent on.
type visit struct {
	// mount is where the proxy is for the client: the part of the path that has the
	// secret, or nothing.
	mount string
	// inHeader is of a client that has sent the secret in the SecretHeader.
	inHeader bool
	// page is of a request that a page in a browser has made.
	page bool
	// path is what the client has asked for, behind the mount, to the byte.
	path string

	writer http.ResponseWriter
	header http.Header // of the answer, before the target has answered
}

// restore puts back the header of the answer, which ReverseProxy clears after each
// informational answer.
func (v visit) restore() {
	maps.Copy(v.writer.Header(), v.header)
}

// at returns the address of a path for the client, relative to the proxy's. Without a
// mount before them, two slashes would begin the address of another host.
func (v visit) at(path string) string {
	if v.mount == "" && strings.HasPrefix(path, "//") {
		return "/." + path
	}
	return v.mount + path
}

type visitKey struct{}

// visitOf returns the visit of a request that was admitted.
func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// admit reports whether a request has the secret, and takes it off.
func admit(w http.ResponseWriter, r *http.Request, config Config) (*http.Request, bool) {
	v := visit{page: isOfPage(r), path: rawPath(r), writer: w, header: w.Header().Clone()}
	given := r.Header.Get(SecretHeader)
	r.Header.Del(SecretHeader)
	if config.Private {
		return r.WithContext(context.WithValue(r.Context(), visitKey{}, v)), true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	v.inHeader = given != ""
	if !v.inHeader {
		given = first
	}
	if !isSecret(given, config.Secret) {
		return r, false
	}
	if isSecret(first, config.Secret) {
		v.mount = "/" + first
		v.path = withoutFirst(v.path)
		r.URL.Path = withoutFirst(r.URL.Path)
		if r.URL.RawPath != "" {
			r.URL.RawPath = withoutFirst(r.URL.RawPath)
		}
	}
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v)), true
}

func isSecret(given, secret string) bool {
	return secret != "" && subtle.ConstantTimeCompare([]byte(given), []byte(secret)) == 1
}

// withoutFirst takes the first element off a path.
func withoutFirst(path string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + rest
}

// isOfPage reports whether a page in a browser has made a request.
func isOfPage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// withholdSecret removes the headers that have the secret in them, such as an address of
// the proxy.
func withholdSecret(header http.Header, secret string) {
	if secret == "" {
		return
	}
	for name, values := range header {
		if slices.ContainsFunc(values, func(value string) bool { return hasSecret(value, secret) }) {
			delete(header, name)
		}
	}
}

// hasSecret reports whether the secret is in a text, escaped or not.
func hasSecret(text, secret string) bool {
	plain, err := url.PathUnescape(text)
	return secret != "" && (strings.Contains(text, secret) || err == nil && strings.Contains(plain, secret))
}
