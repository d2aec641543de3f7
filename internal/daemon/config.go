package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/certfile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
)

// Config says how a daemon runs. Store and Listen are required. The zero value of
// any other field is the default that the field documents, or else that of
// [server.Config].
type Config struct {
	// Store names the store of sessions, users and keys. Open creates a SQLite file
	// that does not exist.
	Store storage.Location
	// MasterKeys seal the keys in the store. Default to those in the key file beside
	// a SQLite file.
	MasterKeys []keys.MasterKey
	// RotateKeys and PublishKeys are those of [keys.Config].
	RotateKeys, PublishKeys time.Duration
	// Listen is the TCP address, such as "localhost:8080"; port 0 selects a free
	// port. "systemd" takes the socket that systemd has opened for the process.
	Listen string
	// TLSCert and TLSKey are PEM files with a certificate and its key. The daemon reads
	// them again when they change. Default to none: the daemon speaks plain HTTP.
	TLSCert, TLSKey string
	// Issuer defaults to the address of the listener as an http or https URL.
	Issuer   string
	Audience string
	ClientID string
	// Algorithm signs the access tokens. Defaults to ES256.
	Algorithm server.Algorithm

	AccessTTL, RefreshTTL, SessionTTL time.Duration
	Leeway, RetryWindow               time.Duration
	MaxSessions                       int

	AllowedOrigins, AllowedHeaders []string
	AllowCredentials               bool
	CookieSameSite                 http.SameSite
	TrustedProxies                 []netip.Prefix
	// Prefix is a path in front of the endpoints' paths, such as "/api". The daemon
	// serves /healthz, /readyz and /.well-known both with and without it. Defaults
	// to none.
	Prefix string

	// Metrics is the TCP address of /metrics, for Prometheus. Defaults to none.
	Metrics string
	// OTLP is the URL of a collector of OpenTelemetry traces. Defaults to none.
	OTLP string
	// Version is that of the program, for metrics and traces.
	Version string

	// Backup makes backups on a schedule if its Dir is set: of a SQLite file alone. Its
	// Database, Copy, Logger and Done are the daemon's.
	Backup backup.Config

	// Audit says where the audit log goes besides the store; its Store and its Logger are
	// the daemon's.
	Audit audit.Config

	// DrainDelay is how long a stopping daemon still accepts requests while /readyz
	// answers 503, so that a load balancer notices and stops sending requests.
	// Defaults to none.
	DrainDelay time.Duration
	// DrainTimeout is how long, after DrainDelay, a stopping daemon lets requests
	// under way go on. Defaults to 20 seconds.
	DrainTimeout time.Duration

	// Users sets the rules for passwords and the cost of their hashes.
	Users directory.Config

	// Site, if it is set, handles all paths that are not the server's: the pages and
	// the API of try-it mode.
	Site func(*server.Server) http.Handler

	// Wrap, if it is set, gets the handler of all paths and returns the one that the
	// daemon serves: try-it mode plays faults there.
	Wrap func(http.Handler) http.Handler

	// Logger defaults to none.
	Logger  *slog.Logger
	OnEvent func(server.Event)

	// Now is the clock of the server and of the keys. Defaults to [time.Now].
	Now func() time.Time
}

// serverConfig returns the part that is the server's.
func (c Config) serverConfig() server.Config {
	return server.Config{
		Issuer:           c.Issuer,
		PublicURL:        publicURL(c.Issuer, c.Prefix),
		Audience:         c.Audience,
		ClientID:         c.ClientID,
		AccessTTL:        c.AccessTTL,
		RefreshTTL:       c.RefreshTTL,
		SessionTTL:       c.SessionTTL,
		Leeway:           c.Leeway,
		RetryWindow:      c.RetryWindow,
		MaxSessions:      c.MaxSessions,
		AllowedOrigins:   c.AllowedOrigins,
		AllowedHeaders:   c.AllowedHeaders,
		AllowCredentials: c.AllowCredentials,
		CookieSameSite:   c.CookieSameSite,
		TrustedProxies:   c.TrustedProxies,
		Logger:           c.Logger,
		OnEvent:          c.OnEvent,
		Now:              c.Now,
	}
}

// Check reports what is wrong with a configuration, as far as that shows without opening
// the store or the port.
func Check(config Config) error {
	if err := checkPrefix(config.Prefix); err != nil {
		return err
	}
	if config.Listen != systemdSocket {
		if _, _, err := net.SplitHostPort(config.Listen); err != nil {
			return fmt.Errorf("--listen: %q is not HOST:PORT, such as localhost:8080 or :8080", config.Listen)
		}
	}
	if config.TLSCert != "" {
		if _, err := certfile.Open(config.TLSCert, config.TLSKey, slog.New(slog.DiscardHandler)); err != nil {
			return err
		}
	}
	if config.Metrics != "" {
		if _, _, err := net.SplitHostPort(config.Metrics); err != nil {
			return fmt.Errorf("--metrics: %q is not HOST:PORT, such as localhost:9090 or :9090", config.Metrics)
		}
	}
	if config.Backup.Dir != "" {
		if config.Store.Path() == "" {
			return errors.New("--backup-dir is for SQLite; back up the database server with its own tools, such as pg_dump")
		}
		if err := config.Backup.Check(); err != nil {
			return err
		}
	}
	if config.OTLP != "" {
		if err := checkOTLP(config.OTLP); err != nil {
			return err
		}
	}
	if config.Audit.Webhook.URL != "" {
		if err := config.Audit.Webhook.Check(); err != nil {
			return fmt.Errorf("--audit-webhook: %w", err)
		}
	}
	if config.Issuer == "" {
		config.Issuer = "http://localhost"
	}
	return config.serverConfig().Validate()
}

// reloadable are the fields of a Config that [Daemon.Reload] takes over.
var reloadable = []string{"AllowedOrigins", "AllowedHeaders", "AllowCredentials", "TrustedProxies", "MaxSessions", "DrainDelay", "DrainTimeout"}

// given are the fields that are no settings.
var given = []string{"Users", "Site", "Wrap", "Logger", "OnEvent", "Now", "Version"}

// changedForRestart returns the fields that differ and that only a restart takes over.
func (c Config) changedForRestart(next Config) []string {
	var changed []string
	before, after := reflect.ValueOf(c), reflect.ValueOf(next)
	for i := range before.NumField() {
		name := before.Type().Field(i).Name
		if slices.Contains(reloadable, name) || slices.Contains(given, name) {
			continue
		}
		if !reflect.DeepEqual(before.Field(i).Interface(), after.Field(i).Interface()) {
			changed = append(changed, name)
		}
	}
	return changed
}

func checkPrefix(prefix string) error {
	if prefix != "" && (!strings.HasPrefix(prefix, "/") || path.Clean(prefix) != prefix || prefix == "/" || strings.ContainsAny(prefix, "{}?#%\\ ")) {
		return fmt.Errorf("--path-prefix: %q is not a path such as /api", prefix)
	}
	return nil
}
