package sidecar

import (
	"net"
	"net/http"
	"net/url"
	"slices"

	"github.com/rs/cors"
)

// refusedMethods are those whose answer shows what was sent, and the one that makes a
// tunnel to anywhere. A browser sends none of them.
var refusedMethods = []string{http.MethodTrace, "TRACK", http.MethodConnect}

// guard keeps out pages in a browser that have no business here, even if they know the
// secret.
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

// mayAsk reports whether a request comes from no page, from one that came through the
// proxy, or from one of the origins. Browsers send no Origin with a GET for a link, an
// image or a script, but say whether another site's page has asked for it.
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

// isHere reports whether a Host header has an address, or localhost. A page can make
// the name of its own host point here, but not an address.
func isHere(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']' {
		host = host[1 : len(host)-1]
	}
	return host == "localhost" || net.ParseIP(host) != nil
}
