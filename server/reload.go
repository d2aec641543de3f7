package server

import (
	"fmt"
	"net/http"
	"net/netip"

	"github.com/tandem-auth/tandem/internal/origin"
)

// A reloadable is what follows from the fields of a [Config] that [Server.Reload] may
// replace while the server runs.
type reloadable struct {
	trustedProxies []netip.Prefix
	maxSessions    int
	crossOrigin    *http.CrossOriginProtection
	handler        http.Handler // the endpoints, behind CORS
}

// newReloadable checks the fields that it uses. endpoints answers what CORS lets through.
func newReloadable(cfg Config, endpoints http.Handler) (*reloadable, error) {
	origins, err := origin.CanonicalAll(cfg.AllowedOrigins)
	if err != nil {
		return nil, fmt.Errorf("server: Config.AllowedOrigins: %w", err)
	}
	cfg.AllowedOrigins = origins
	crossOrigin, err := newCrossOrigin(cfg)
	if err != nil {
		return nil, fmt.Errorf("server: Config.AllowedOrigins: %w", err)
	}
	return &reloadable{
		trustedProxies: cfg.TrustedProxies,
		maxSessions:    cfg.MaxSessions,
		crossOrigin:    crossOrigin,
		handler:        withCORS(cfg, endpoints),
	}, nil
}

// Reload replaces AllowedOrigins, AllowedHeaders, AllowCredentials, TrustedProxies and
// MaxSessions by those of cfg, and ignores the other fields of cfg. A request under way may
// see old and new settings. If a field is not valid, Reload returns an error
// that names it, and changes nothing.
func (s *Server) Reload(cfg Config) error {
	next := s.cfg
	next.AllowedOrigins, next.AllowedHeaders, next.AllowCredentials = cfg.AllowedOrigins, cfg.AllowedHeaders, cfg.AllowCredentials
	next.TrustedProxies, next.MaxSessions = cfg.TrustedProxies, cfg.MaxSessions
	next = next.withDefaults()
	if err := next.validate(); err != nil {
		return err
	}
	settings, err := newReloadable(next, s.endpoints)
	if err != nil {
		return err
	}
	s.reloadable.Store(settings)
	return nil
}
