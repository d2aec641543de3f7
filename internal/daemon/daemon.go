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
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/admin"
	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/certfile"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/tandemotelserver"
)

// A Daemon is a server that listens. It answers requests once Serve is called.
type Daemon struct {
	config    Config
	place     *storage.Place
	keys      *keys.Manager
	directory *directory.Directory
	server    *server.Server
	audit     *audit.Log
	admin     http.Handler
	listener  net.Listener
	http      *http.Server

	certificate *certfile.Pair        // nil without TLS
	backups     *backup.Schedule      // nil without backups
	monitor     *monitor              // nil without metrics
	traces      *trace.TracerProvider // nil without traces

	serving    atomic.Bool    // until Close
	background sync.WaitGroup // what Close ends

	mu     sync.Mutex // guards what Reload replaces
	drains drainTimes
}

// drainTimes are the fields of Config with these names.
type drainTimes struct{ DrainDelay, DrainTimeout time.Duration }

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
	d := &Daemon{config: config, drains: drainTimes{config.DrainDelay, config.DrainTimeout}}
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
	if err := d.openAudit(); err != nil {
		return nil, err
	}
	d.keys, err = keys.Open(ctx, keys.Config{
		Store:        d.place.Store,
		MasterKeys:   d.place.MasterKeys,
		Algorithm:    config.Algorithm,
		AccessTTL:    config.AccessTTL,
		RefreshTTL:   config.RefreshTTL,
		RotateEvery:  config.RotateKeys,
		PublishAhead: config.PublishKeys,
		OnMade:       func(k keys.Key) { d.audit.Add(admin.KeyMade(k)) },
		Logger:       config.Logger,
		Now:          config.Now,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", config.Store, err)
	}
	d.directory = directory.New(d.place.Store, config.Users)
	if err := checkPrefix(config.Prefix); err != nil {
		return nil, err
	}
	if config.TLSCert != "" {
		if d.certificate, err = certfile.Open(config.TLSCert, config.TLSKey, config.Logger); err != nil {
			return nil, err
		}
	}
	if d.listener, err = listen(ctx, config.Listen, "--listen"); err != nil {
		return nil, err
	}
	if config.Issuer == "" {
		config.Issuer = d.URL()
	}
	settings := config.serverConfig()
	settings.OnEvent = d.onEvent
	if settings.Observe, err = d.observe(ctx); err != nil {
		return nil, err
	}
	settings.Store, settings.Directory, settings.Keys, settings.Clients = d.place.Store, d.directory, d.keys, clients.New(d.place.Store)
	if d.server, err = server.New(settings); err != nil {
		return nil, err
	}
	if d.isClearText(config.Issuer) {
		config.Logger.WarnContext(ctx, "passwords and tokens cross the network in clear text: other machines reach this address, and there is no TLS; "+
			"give a certificate with --tls-cert and --tls-key, or put a proxy with TLS before it and name its network with --trust-proxy, and its address with --issuer https://…, or listen on localhost",
			"address", d.Address())
	}
	if d.monitor != nil {
		if err := d.monitor.watch(d); err != nil {
			return nil, err
		}
	}
	d.admin = d.adminAPI()
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
	if d.certificate != nil {
		d.http.TLSConfig = d.certificate.Config()
	}
	return d, nil
}

// observe opens what follows the server's work.
func (d *Daemon) observe(ctx context.Context) (server.ObserveFunc, error) {
	var all []server.ObserveFunc
	var err error
	if d.config.OTLP != "" { // first, so that the work of the others is in its spans
		if d.traces, err = openTraces(ctx, d.config.OTLP, d.config.Version, d.config.Logger); err != nil {
			return nil, err
		}
		all = append(all, tandemotelserver.Observe(d.traces))
	}
	if d.config.Metrics != "" {
		if d.monitor, err = newMonitor(ctx, d.config.Metrics); err != nil {
			return nil, err
		}
		all = append(all, d.monitor.server.Observe)
	}
	return observers(all...), nil
}

// closeTraces sends what has not been sent yet.
func (d *Daemon) closeTraces() error {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	if err := d.traces.Shutdown(ctx); err != nil {
		d.config.Logger.Warn("the last traces were not sent", "error", err)
	}
	return nil
}

// MetricsAddress returns the host and port of /metrics, or "" if there are no metrics.
func (d *Daemon) MetricsAddress() string {
	if d.monitor == nil {
		return ""
	}
	return d.monitor.listener.Addr().String()
}

// URL returns the http or https URL, with the prefix, at which programs on this machine reach the
// daemon.
func (d *Daemon) URL() string {
	addr := d.listener.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() || addr.IP.Equal(net.IPv4(127, 0, 0, 1)) || addr.IP.Equal(net.IPv6loopback) {
		host = "localhost"
	}
	scheme := "http"
	if d.certificate != nil {
		scheme = "https"
	}
	return fmt.Sprintf("%s://%s%s", scheme, net.JoinHostPort(host, fmt.Sprint(addr.Port)), d.config.Prefix)
}

// isClearText reports whether other machines can probably reach the daemon without TLS:
// it listens beyond localhost, trusts no proxy, and its issuer is not an https URL.
func (d *Daemon) isClearText(issuer string) bool {
	return d.certificate == nil && !d.listener.Addr().(*net.TCPAddr).IP.IsLoopback() && len(d.config.TrustedProxies) == 0 && !strings.HasPrefix(strings.ToLower(issuer), "https:")
}

// Address returns the host and port on which the daemon listens.
func (d *Daemon) Address() string { return d.listener.Addr().String() }

// Store returns the daemon's store.
func (d *Daemon) Store() storage.Store { return d.place.Store }

// Directory returns the daemon's users.
func (d *Daemon) Directory() *directory.Directory { return d.directory }

// Serve answers requests until ctx ends. Then it makes /readyz answer 503, waits for
// DrainDelay, stops listening, lets requests under way finish, and closes the daemon.
func (d *Daemon) Serve(ctx context.Context) error {
	if err := d.startBackups(); err != nil {
		return errors.Join(err, d.Close())
	}
	failed := make(chan error, 1)
	go func() {
		if d.certificate != nil {
			failed <- d.http.ServeTLS(d.listener, "", "")
			return
		}
		failed <- d.http.Serve(d.listener)
	}()
	if d.monitor != nil {
		d.background.Go(func() { _ = d.monitor.http.Serve(d.monitor.listener) })
	}
	d.recordStart()
	d.notify(notifyReady)

	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
		d.notify(notifyStopping)
		d.server.Drain()
		err = d.drain()
		if failure := <-failed; !errors.Is(failure, http.ErrServerClosed) {
			err = errors.Join(err, failure)
		}
	}
	return errors.Join(err, d.Close())
}

func (d *Daemon) drain() error {
	d.mu.Lock()
	times := d.drains
	d.mu.Unlock()
	time.Sleep(times.DrainDelay)
	ctx, cancel := context.WithTimeout(context.Background(), times.DrainTimeout)
	defer cancel()
	if err := d.http.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were still under way after %s: %w", times.DrainTimeout, errors.Join(err, d.http.Close()))
	}
	return nil
}

// Reload takes over the settings that a running daemon can change: AllowedOrigins,
// AllowedHeaders, AllowCredentials, TrustedProxies, MaxSessions, DrainDelay and DrainTimeout.
// It also reads the TLS certificate again. It returns the names of the other fields that
// differ, which need a restart. If a setting is not valid, Reload returns an error and
// changes nothing.
func (d *Daemon) Reload(config Config) (restart []string, err error) {
	d.notify(notifyReloading())
	defer d.notify(notifyReady)
	if config.DrainTimeout == 0 {
		config.DrainTimeout = drainTimeout
	}
	if err := Check(config); err != nil {
		return nil, err
	}
	if d.certificate != nil {
		if err := d.certificate.Reload(); err != nil {
			return nil, err
		}
	}
	if err := d.server.Reload(config.serverConfig()); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drains = drainTimes{config.DrainDelay, config.DrainTimeout}
	return d.config.changedForRestart(config), nil
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
	if d.backups != nil {
		errs = append(errs, d.backups.Close())
	}
	if d.monitor != nil {
		errs = append(errs, d.monitor.close())
		d.background.Wait()
	}
	if d.traces != nil {
		errs = append(errs, d.closeTraces())
	}
	if d.keys != nil {
		errs = append(errs, d.keys.Close())
	}
	if d.audit != nil {
		errs = append(errs, d.closeAudit())
	}
	if d.place != nil {
		errs = append(errs, d.place.Close())
	}
	return errors.Join(errs...)
}
