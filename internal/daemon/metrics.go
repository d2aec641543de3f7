package daemon

import (
	"context"
	"errors"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/tandemprom"
)

// A monitor serves the metrics on a port of its own.
type monitor struct {
	registry *prometheus.Registry
	server   *tandemprom.Metrics
	listener net.Listener
	http     *http.Server
}

// readyTimeout bounds how long a scrape waits to learn whether the daemon is ready.
const readyTimeout = 2 * time.Second

func newMonitor(ctx context.Context, address string) (*monitor, error) {
	m := &monitor{registry: prometheus.NewRegistry()}
	var err error
	if m.server, err = tandemprom.New(m.registry); err != nil {
		return nil, err
	}
	if m.listener, err = listen(ctx, address, "--metrics"); err != nil {
		return nil, err
	}
	return m, nil
}

// watch registers what the daemon knows, and makes the handler.
func (m *monitor) watch(d *Daemon) error {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	all := []prometheus.Collector{
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		keyAges{d},
		auditLag{d},
		gauge("tandem_ready", "Whether the server can handle requests: 1 or 0.", func() float64 {
			ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
			defer cancel()
			if d.server.Ready(ctx) != nil {
				return 0
			}
			return 1
		}),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "tandem_build_info", Help: "1, with the version of the server.",
		ConstLabels: prometheus.Labels{"version": d.config.Version, "goversion": runtime.Version()},
	})
	info.Set(1)
	all = append(all, info)
	if d.certificate != nil {
		all = append(all, gauge("tandem_tls_certificate_expiry_timestamp_seconds", "When the certificate of the server expires, in seconds since 1970.",
			func() float64 { return float64(d.certificate.NotAfter().Unix()) }))
	}
	var errs []error
	for _, c := range all {
		errs = append(errs, m.registry.Register(c))
	}
	errs = append(errs, m.server.Watch(d.server))

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Timeout: 2 * readyTimeout, MaxRequestsInFlight: 4}))
	mux.Handle("GET /healthz", d.server)
	mux.Handle("GET /readyz", d.server)
	m.http = &http.Server{Handler: mux, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout}
	return errors.Join(errs...)
}

// close stops serving. It may be called before watch.
func (m *monitor) close() error {
	var errs []error
	if m.http != nil {
		errs = append(errs, m.http.Close())
	}
	if err := m.listener.Close(); !errors.Is(err, net.ErrClosed) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// keyAges collects how long the keys that make tokens have done so.
type keyAges struct{ d *Daemon }

var keyAge = prometheus.NewDesc("tandem_key_age_seconds", "How long the key that makes tokens has done so.", []string{"use", "algorithm"}, nil)

func (keyAges) Describe(descs chan<- *prometheus.Desc) { descs <- keyAge }

func (k keyAges) Collect(metrics chan<- prometheus.Metric) {
	for _, key := range k.d.keys.Keys() {
		if !key.InUse {
			continue
		}
		algorithm := string(key.Algorithm)
		if key.Use == keys.RefreshKey {
			algorithm = "HMAC"
		}
		metrics <- prometheus.MustNewConstMetric(keyAge, prometheus.GaugeValue, time.Since(key.ActiveFrom).Seconds(), key.Use, algorithm)
	}
}

// auditLag collects how many records wait for the sinks of the audit log.
type auditLag struct{ d *Daemon }

var (
	auditPending = prometheus.NewDesc("tandem_audit_pending", "Records of the audit log that wait for a sink.", []string{"sink"}, nil)
	auditDropped = prometheus.NewDesc("tandem_audit_dropped_total", "Records of the audit log that were dropped for want of room.", []string{"sink"}, nil)
)

func (auditLag) Describe(descs chan<- *prometheus.Desc) { descs <- auditPending; descs <- auditDropped }

func (a auditLag) Collect(metrics chan<- prometheus.Metric) {
	for _, p := range a.d.audit.Pending() {
		metrics <- prometheus.MustNewConstMetric(auditPending, prometheus.GaugeValue, float64(p.Waiting), p.Sink)
		metrics <- prometheus.MustNewConstMetric(auditDropped, prometheus.CounterValue, float64(p.Dropped), p.Sink)
	}
}
