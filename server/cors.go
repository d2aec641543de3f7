package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/cors"
	"golang.org/x/net/http/httpguts"

	"github.com/tandem-auth/tandem/internal/origin"
)

// withCORS adds CORS to the handler if there are allowed origins. It does not pass an
// empty list to the library, which would allow all origins.
func withCORS(cfg Config, next http.Handler) http.Handler {
	if len(cfg.AllowedOrigins) == 0 {
		return next
	}
	headers := cfg.AllowedHeaders
	if len(headers) == 0 {
		headers = []string{"*"}
	}
	options := cors.Options{
		AllowedOrigins:   cfg.AllowedOrigins,
		AllowedMethods:   []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders:   append(slices.Clone(headers), cookieHeader),
		AllowCredentials: cfg.AllowCredentials,
		ExposedHeaders:   []string{"WWW-Authenticate", "Retry-After", requestIDHeader},
		MaxAge:           int(time.Hour / time.Second),
	}
	usual := cors.New(options).Handler(next)
	options.AllowCredentials = true
	withCookies := cors.New(options).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isCookieMode(r) {
			withCookies.ServeHTTP(w, r)
			return
		}
		usual.ServeHTTP(w, r)
	})
}

// isCookieMode reports whether a request is in cookie mode, or is the preflight of one.
func isCookieMode(r *http.Request) bool {
	if r.Header.Get(cookieHeader) != "" {
		return true
	}
	asked := strings.Split(r.Header.Get("Access-Control-Request-Headers"), ",")
	return slices.ContainsFunc(asked, func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), cookieHeader) })
}

func checkOrigins(origins []string) error {
	_, err := origin.CanonicalAll(origins)
	return err
}

func checkHeaders(names []string) error {
	for _, name := range names {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("%q is no name of a header", name)
		}
	}
	return nil
}
