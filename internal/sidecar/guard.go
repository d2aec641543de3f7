package sidecar

import (
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/rs/cors"
)

// refusedMethods are the methods whose answer repeats the request, and with it the access
// token, and CONNECT, which opens a tunnel to any host. Pages in a browser cannot send them.
var refusedMethods = []string{http.MethodTrace, "TRACK", http.MethodConnect}

// guard refuses, even if a request has the secret, the refusedMethods, host names that the
// proxy does not answer to, and pages that may not make requests.
func guard(config Config, next http.Handler) http.Handler {
	if len(config.Origins) > 0 {
		next = cors.New(cors.Options{
			AllowedOrigins:      config.Origins,
			AllowedMethods:      []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"},
			AllowedHeaders:      []string{"*"},
			ExposedHeaders:      []string{"*"},
			AllowPrivateNetwork: true,
			MaxAge:              60,
		}).Handler(next)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case slices.Contains(refusedMethods, r.Method):
			write(w, http.StatusMethodNotAllowed, "method_not_allowed", "the proxy does not pass on "+r.Method)
		case !config.AnyHost && !config.Private && !isHere(r.Host):
			write(w, http.StatusForbidden, "forbidden_host", "the proxy answers to localhost and to addresses, and to no other name")
		case !mayAsk(r, config.Origins):
			write(w, http.StatusForbidden, "forbidden_origin", "pages of this origin may not make requests: name it at tandem proxy, with --allow-origin")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// mayAsk reports whether a request comes from a program other than a browser, from a page
// that came through the proxy, or from a page of one of the origins. A browser sends no
// Origin with a GET for a link, an image or a script, but Sec-Fetch-Site says whether a
// page of another site asked for it.
func mayAsk(r *http.Request, origins []string) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return origin == "http://"+r.Host || slices.Contains(origins, origin)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return true
	}
	from, err := url.Parse(r.Header.Get("Referer"))
	return err == nil && slices.Contains(origins, from.Scheme+"://"+from.Host)
}

// isHere reports whether a Host header is an IP address or localhost. The owner of a page
// can make the page's host name resolve to this machine, but cannot do so with an address.
func isHere(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host == "localhost" || net.ParseIP(host) != nil
}
