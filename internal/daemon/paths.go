package daemon

import (
	"net/http"
	"strings"

	"github.com/tandem-auth/tandem/internal/exactpath"
	"github.com/tandem-auth/tandem/web"
)

// handler serves the server's paths, the SDK for browsers and the API for administrators,
// with the prefix, and the site on all others. It never redirects, as an [http.ServeMux] would: see package exactpath.
func (d *Daemon) handler() http.Handler {
	return withPaths(d.config.Prefix, "/sdk/", web.SDK(), withPaths(d.config.Prefix, "/admin/", d.admin, d.pathsOfServer()))
}

// withPaths has a handler serve the paths that begin with one, behind the prefix.
func withPaths(prefix, path string, handler, next http.Handler) http.Handler {
	handler = http.StripPrefix(prefix, handler)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+path) && exactpath.IsShortest(r.URL.Path) {
			handler.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// publicURL returns where the endpoints are: below the prefix, which the issuer may name.
func publicURL(issuer, prefix string) string {
	return strings.TrimSuffix(strings.TrimSuffix(issuer, "/"), prefix) + prefix
}

func (d *Daemon) pathsOfServer() http.Handler {
	if d.config.Site == nil && d.config.Prefix == "" {
		return d.server
	}
	prefix := d.config.Prefix
	endpoints, site := http.StripPrefix(prefix, d.server), http.NotFoundHandler()
	if d.config.Site != nil {
		site = d.config.Site(d.server)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case !exactpath.IsShortest(path), path == "/healthz", path == "/readyz", strings.HasPrefix(path, "/.well-known/"):
			d.server.ServeHTTP(w, r)
		case prefix != "" && strings.HasPrefix(path, prefix+"/"), prefix == "" && (strings.HasPrefix(path, "/auth/") || strings.HasPrefix(path, "/oauth/")):
			endpoints.ServeHTTP(w, r)
		default:
			site.ServeHTTP(w, r)
		}
	})
}
