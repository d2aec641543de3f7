package sidecar

import (
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
)

// rewrite makes a client's request one to the target. What need not change stays as it
// is, to the byte.
func rewrite(r *httputil.ProxyRequest, config Config) {
	v := visitOf(r.In.Context())
	r.SetURL(config.Target)
	keepPath(r.Out.URL, config.Target, v.path)
	r.Out.URL.RawQuery = join(config.Target.RawQuery, r.In.URL.RawQuery)
	r.Out.Trailer = r.In.Trailer // whose values are there when the body has ended

	if r.In.ContentLength == 0 && r.In.Header.Get("Content-Length") != "" {
		// This has the transport say that the length is 0, with every method but GET.
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
	// A page that came through here has the secret in its address.
	if from, err := url.Parse(header.Get("Referer")); err != nil || from.Host == r.In.Host {
		header.Del("Referer")
	}
	if to, err := url.Parse(header.Get("Destination")); err == nil && to.Host == r.In.Host {
		if path, ok := strings.CutPrefix(to.EscapedPath(), v.mount+"/"); ok {
			header.Set("Destination", config.Target.Scheme+"://"+config.Target.Host+joinPath(config.Target, "/"+path))
		}
	}
	withholdSecret(header, config.Secret)
	// The session's is to go out, whatever placeholder the program has put in.
	header.Del("Authorization")
	// Whether a page may ask has been decided here: to the target it is a program that
	// does.
	for name := range header {
		if v.page && (name == "Origin" || strings.HasPrefix(name, "Sec-Fetch-")) {
			header.Del(name)
		}
	}
	if _, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", "") // not Go's own
	}
}

// rawPath returns the path of a request as the client has written it.
func rawPath(r *http.Request) string {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if _, rest, ok := strings.Cut(path, "://"); ok && path[0] != '/' { // as to a forward proxy
		_, rest, _ = strings.Cut(rest, "/")
		path = "/" + rest
	}
	return path
}

// keepPath has a URL of the target's spell its path as the client has: package url would
// escape what clients often do not.
func keepPath(u, target *url.URL, path string) {
	want := joinPath(target, path)
	if u.EscapedPath() == want || !strings.HasPrefix(want, "/") || strings.HasPrefix(want, "//") {
		return // the last would go out as an absolute URL
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

// isHTTP2 reports whether an Upgrade header asks for another version of HTTP (RFC 7540
// section 3.2): the connection to the target is the proxy's.
func isHTTP2(upgrade string) bool {
	for protocol := range strings.SplitSeq(upgrade, ",") {
		if name := strings.ToLower(strings.TrimSpace(protocol)); name == "h2c" || name == "h2" {
			return true
		}
	}
	return false
}
