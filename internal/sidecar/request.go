package sidecar

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

// rewrite turns a client's request into one to the target. Everything that need not change
// stays the same to the byte.
func rewrite(r *httputil.ProxyRequest, config Config) {
	v := visitOf(r.In.Context())
	r.SetURL(config.Target)
	keepPath(r.Out.URL, config.Target, v.path)
	r.Out.URL.RawQuery = join(config.Target.RawQuery, r.In.URL.RawQuery)
	r.Out.Trailer = r.In.Trailer // net/http fills in the values at the end of the body

	if r.In.ContentLength == 0 && r.In.Header.Get("Content-Length") != "" {
		// With "identity" the transport sends Content-Length: 0, except with GET and HEAD.
		r.Out.Body, r.Out.TransferEncoding = http.NoBody, []string{"identity"}
	}

	header := r.Out.Header
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values := r.In.Header.Values(name); len(values) > 0 {
			header[name] = slices.Clone(values)
		}
	}
	if isHTTP2(header.Get("Upgrade")) {
		header.Del("Upgrade")
		header.Del("Connection")
	}
	// The address of a page that came through the proxy contains the secret.
	if from, err := url.Parse(header.Get("Referer")); err != nil || from.Host == r.In.Host {
		header.Del("Referer")
	}
	if to, err := url.Parse(header.Get("Destination")); err == nil && to.Host == r.In.Host {
		if path, ok := strings.CutPrefix(to.EscapedPath(), v.mount+"/"); ok {
			header.Set("Destination", config.Target.Scheme+"://"+config.Target.Host+joinPath(config.Target, "/"+path))
		}
	}
	withholdSecret(header, config.Secret)
	// The session adds its own; the program may have sent a placeholder.
	header.Del("Authorization")
	// guard has decided whether the page may make this request; the target sees a request
	// of a program, not of a page.
	for name := range header {
		if v.page && (name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-")) {
			header.Del(name)
		}
	}
	if _, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", "") // keeps net/http from adding its own
	}
}

// rawPath returns the path of a request exactly as the client wrote it.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok && path[0] != '/' { // an absolute URL, as clients send it to a forward proxy
		_, rest, _ = strings.Cut(rest, "/")
		path = "/" + rest
	}
	return path
}

// keepPath keeps the client's spelling of the path in a URL of the target: package url
// would escape characters that clients often leave unescaped.
func keepPath(u, target *url.URL, path string) {
	want := joinPath(target, path)
	if u.EscapedPath() == want || !strings.HasPrefix(want, "/") || strings.HasPrefix(want, "//") {
		return // net/http would send an Opaque that begins with // as an absolute URL
	}
	u.Opaque = want
}

func joinPath(target *url.URL, path string) string {
	return strings.TrimSuffix(target.EscapedPath(), "/") + path
}

func join(query, more string) string {
	if query == "" || more == "" {
		return query + more
	}
	return query + "&" + more
}

// isHTTP2 reports whether an Upgrade header asks for HTTP/2 (RFC 7540 section 3.2). The
// proxy does not pass that on: it chooses the version on its own connection to the target.
func isHTTP2(upgrade string) bool {
	for protocol := range strings.SplitSeq(upgrade, ",") {
		if name := strings.ToLower(strings.TrimSpace(protocol)); name == "h2c" || name == "h2" {
			return true
		}
	}
	return false
}
