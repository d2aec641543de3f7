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

// SecretHeader is the request header for clients that do not send the secret in the path.
const SecretHeader = "Tandem-Proxy-Secret"

// NewSecret returns a random secret of 192 bits that needs no escaping in a path.
func NewSecret() (string, error) {
	var random [24]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(random[:]), nil
}

// A visit is what the proxy has to know about a client's request to write its answer. The
// target does not see it.
type visit struct {
	// mount is the beginning of the client's paths: "/" and the secret, or "" if the client
	// does not send the secret in the path.
	mount string
	// inHeader says that the client sent the SecretHeader.
	inHeader bool
	// page says that a page in a browser made the request.
	page bool
	// path is the path behind the mount, exactly as the client wrote it.
	path string

	writer http.ResponseWriter
	header http.Header // the writer's, as guard left it before the target answered
}

// restore puts back the headers that guard set for the answer: ReverseProxy clears them
// after each informational answer (1xx).
func (v visit) restore() {
	maps.Copy(v.writer.Header(), v.header)
}

// at returns the reference by which the client reaches a path through the proxy. Without a
// mount, a client would take a path that begins with // for the address of another host.
func (v visit) at(path string) string {
	if v.mount == "" && strings.HasPrefix(path, "//") {
		return "/." + path
	}
	return v.mount + path
}

type visitKey struct{}

// visitOf returns the visit that admit put into the context; the zero visit without one.
func visitOf(ctx context.Context) visit {
	v, _ := ctx.Value(visitKey{}).(visit)
	return v
}

// admit reports whether a request has the secret, and returns the request without it, with
// its visit in the context.
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

// withoutFirst returns a path without its first element.
func withoutFirst(path string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return "/" + rest
}

// isOfPage reports whether a page in a browser made the request.
func isOfPage(r *http.Request) bool {
	return r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != ""
}

// withholdSecret removes every header that contains the secret, for example as part of an
// address of the proxy.
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

// hasSecret reports whether a text contains the secret, percent-encoded or not.
func hasSecret(text, secret string) bool {
	plain, err := url.PathUnescape(text)
	return secret != "" && (strings.Contains(text, secret) || err == nil && strings.Contains(plain, secret))
}
