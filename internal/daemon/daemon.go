// Package daemon runs the server as a program: it opens the store, the directory
// and the keys, listens, serves the handler of package server, and shuts all of
// them down in order.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/exactpath"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/web"
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
	// port.
	Listen string
	// Issuer defaults to the address of the listener as an http URL.
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

// A Daemon is a server that listens. It answers requests once Serve is called.
type Daemon struct {
	config    Config
	place     *storage.Place
	keys      *keys.Manager
	directory *directory.Directory
	server    *server.Server
	listener  net.Listener
	http      *http.Server
}

// Limits on slow and greedy clients.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 32 << 10
	drainTimeout      = 20 * time.Second
)

// Open opens the store and listens. If it fails, the error names the file, the
// address or the setting that is wrong, and Open has closed everything again.
func Open(ctx context.Context, config Config) (_ *Daemon, err error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.DrainTimeout == 0 {
		config.DrainTimeout = drainTimeout
	}
	d := &Daemon{config: config}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()

	if d.place, err = config.Store.OpenForServer(ctx, config.MasterKeys); err != nil {
		return nil, err
	}
	if warning := d.place.Warning(); warning != "" {
		config.Logger.WarnContext(ctx, "the store may lose changes that the server has confirmed", "why", warning)
	}
	if path := config.Store.Path(); path != "" {
		for _, problem := range sqlitefile.Exposed(path) {
			config.Logger.WarnContext(ctx, "other users of this machine can access the data", "problem", problem)
		}
	}
	d.keys, err = keys.Open(ctx, keys.Config{
		Store:        d.place.Store,
		MasterKeys:   d.place.MasterKeys,
		Algorithm:    config.Algorithm,
		AccessTTL:    config.AccessTTL,
		RefreshTTL:   config.RefreshTTL,
		RotateEvery:  config.RotateKeys,
		PublishAhead: config.PublishKeys,
		Logger:       config.Logger,
		Now:          config.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Store, err)
	}
	d.directory = directory.New(d.place.Store, config.Users)
	if d.listener, err = listen(ctx, config.Listen); err != nil {
		return nil, err
	}
	if config.Issuer == "" {
		config.Issuer = d.URL()
	}
	if err := checkPrefix(config.Prefix); err != nil {
		return nil, err
	}
	d.server, err = server.New(server.Config{
		Issuer:           config.Issuer,
		Clients:          clients.New(d.place.Store),
		PublicURL:        publicURL(config.Issuer, config.Prefix),
		Audience:         config.Audience,
		ClientID:         config.ClientID,
		Store:            d.place.Store,
		Directory:        d.directory,
		Keys:             d.keys,
		AccessTTL:        config.AccessTTL,
		RefreshTTL:       config.RefreshTTL,
		SessionTTL:       config.SessionTTL,
		Leeway:           config.Leeway,
		RetryWindow:      config.RetryWindow,
		MaxSessions:      config.MaxSessions,
		AllowedOrigins:   config.AllowedOrigins,
		AllowedHeaders:   config.AllowedHeaders,
		AllowCredentials: config.AllowCredentials,
		CookieSameSite:   config.CookieSameSite,
		TrustedProxies:   config.TrustedProxies,
		Logger:           config.Logger,
		OnEvent:          config.OnEvent,
		Now:              config.Now,
	})
	if err != nil {
		return nil, err
	}
	if d.isClearText(config.Issuer) {
		config.Logger.WarnContext(ctx, "passwords and tokens cross the network in clear text: other machines reach this address, and there is no TLS; "+
			"put a proxy with TLS before it and name its network with --trust-proxy, and its address with --issuer https://…, or listen on localhost",
			"address", d.Address())
	}
	handler := d.handler()
	if config.Wrap != nil {
		handler = config.Wrap(handler)
	}
	d.http = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(config.Logger.Handler(), slog.LevelWarn),
	}
	return d, nil
}

// handler serves the server's paths and the SDK, with the prefix, and the site on all
// others. It never redirects, as an [http.ServeMux] would: see package exactpath.
func (d *Daemon) handler() http.Handler {
	return withSDK(d.config.Prefix, d.pathsOfServer())
}

// withSDK serves the SDK for browsers at /sdk/, behind the prefix.
func withSDK(prefix string, next http.Handler) http.Handler {
	sdk := http.StripPrefix(prefix, web.SDK())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, prefix+"/sdk/") {
			sdk.ServeHTTP(w, r)
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

// URL returns the http URL, with the prefix, at which programs on this machine reach the
// daemon.
func (d *Daemon) URL() string {
	addr := d.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() || addr.IP.Equal(net.IPv4(127, 0, 0, 1)) || addr.IP.Equal(net.IPv6loopback) {
		host = "localhost"
	}
	return fmt.Sprintf("http://%s%s", net.JoinHostPort(host, fmt.Sprint(addr.Port)), d.config.Prefix)
}

// isClearText reports whether other machines can probably reach the daemon without TLS:
// it listens beyond localhost, trusts no proxy, and its issuer is not an https URL.
func (d *Daemon) isClearText(issuer string) bool {
	return !d.listener.Addr().(*net.TCPAddr).IP.IsLoopback() && len(d.config.TrustedProxies) == 0 && !strings.HasPrefix(strings.ToLower(issuer), "https:")
}

// Address returns the host and port on which the daemon listens.
func (d *Daemon) Address() string { return d.listener.Addr().String() }

// Directory returns the daemon's users.
func (d *Daemon) Directory() *directory.Directory { return d.directory }

// Serve answers requests until ctx ends. Then it makes /readyz answer 503, waits for
// DrainDelay, stops listening, lets requests under way finish, and closes the daemon.
func (d *Daemon) Serve(ctx context.Context) error {
	failed := make(chan error, 1)
	go func() { failed <- d.http.Serve(d.listener) }()

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		d.server.Drain()
		err = d.drain()
		if failure := <-failed; !errors.Is(failure, http.ErrServerClosed) {
			err = errors.Join(err, failure)
		}
	}
	return errors.Join(err, d.Close())
}

func (d *Daemon) drain() error {
	time.Sleep(d.config.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), d.config.DrainTimeout)
	defer cancel()
	if err := d.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were still under way after %s: %w", d.config.DrainTimeout, errors.Join(err, d.http.Close()))
	}
	return nil
}

// Close stops the daemon at once, without waiting for requests under way. It may be
// called twice, and before Serve.
func (d *Daemon) Close() error {
	var errs []error
	if d.http != nil {
		errs = append(errs, d.http.Close())
	}
	if d.listener != nil {
		if err := d.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	if d.server != nil {
		errs = append(errs, d.server.Close())
	}
	if d.keys != nil {
		errs = append(errs, d.keys.Close())
	}
	if d.place != nil {
		errs = append(errs, d.place.Close())
	}
	return errors.Join(errs...)
}

func checkPrefix(prefix string) error {
	if prefix != "" && (!strings.HasPrefix(prefix, "/") || path.Clean(prefix) != prefix || prefix == "/" || strings.ContainsAny(prefix, "{}?#%\\ ")) {
		return fmt.Errorf("--path-prefix: %q is not a path such as /api", prefix)
	}
	return nil
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program; choose another address with --listen, such as --listen localhost:8081", address)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not allowed to listen on %s: ports below 1024 need rights; choose another with --listen", address)
	case err != nil:
		return nil, fmt.Errorf("listen on %q (want HOST:PORT): %w", address, err)
	}
	return l, nil
}
