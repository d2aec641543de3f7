package sidecar

import (
	"net"
	"net/http"
	"slices"

	"github.com/rs/cors"
)

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
		switch origin := r.Header.Get("Origin"); {
		case !config.AnyHost && !isHere(r.Host):
			write(w, http.StatusForbidden, "forbidden_host", "the proxy answers to localhost and to addresses, and to no other name")
		case origin != "" && origin != "http://"+r.Host && !slices.Contains(config.Origins, origin):
			write(w, http.StatusForbidden, "forbidden_origin", "pages of this origin may not make requests: name it at tandem proxy, with --allow-origin")
		default:
			next.ServeHTTP(w, r)
		}
	})
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
