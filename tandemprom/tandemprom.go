// Package tandemprom counts and times the work of a [server.Server] for Prometheus.
//
//	metrics, err := tandemprom.New(prometheus.DefaultRegisterer)
//	auth, err := server.New(server.Config{
//		Observe: metrics.Observe,
//		OnEvent: metrics.Event,
//		// and what the server needs
//	})
//	err = metrics.Watch(auth)
//
// No label has the name of a user, an address or a session in it, so that the number of
// series is fixed. docs/operate.md lists the metrics.
package tandemprom

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// Metrics are those of one server. Its methods are safe for concurrent use.
type Metrics struct {
	registerer prometheus.Registerer

	signIn, refresh, request, storeCall *prometheus.HistogramVec
	passwords, queue                    prometheus.Histogram
	storeErrors, ended                  *prometheus.CounterVec
	begun, wentBack                     prometheus.Counter
}

// Upper bounds of the buckets of histograms, in seconds.
var (
	quick = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	slow  = []float64{.01, .025, .05, .1, .2, .4, .8, 1.6, 3.2, 6.4, 12.8}
)

// The outcomes that are there from the start, so that their rates are 0 and not missing.
var (
	signInOutcomes  = []string{"signed_in", "failed", "limited", "refused", "unavailable", "invalid"}
	refreshOutcomes = []string{"refreshed", "retried", "stale", "reuse_detected", "refused", "unavailable", "invalid"}
	endReasons      = []rotation.EndReason{rotation.SignedOut, rotation.Revoked, rotation.ReuseDetected, rotation.Expired}
	storeCalls      = []string{"Create", "Get", "Confirm", "End", "EndSubject", "List", "Sweep", "Ping", "PutOnce", "SweepOnce"}
)

// New registers the metrics. The error is the registerer's: of a second server in one
// process, for one; wrap the registerers of both with [prometheus.WrapRegistererWith] then.
func New(registerer prometheus.Registerer) (*Metrics, error) {
	histogram := func(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	}
	m := &Metrics{
		registerer: registerer,
		signIn:     histogram("tandem_sign_in_duration_seconds", "Sign-ins by outcome, and how long they took.", slow, "outcome"),
		refresh:    histogram("tandem_refresh_duration_seconds", "Refreshes by outcome, and how long they took.", quick, "outcome"),
		request:    histogram("tandem_http_request_duration_seconds", "Requests by endpoint and status, and how long they took.", quick, "endpoint", "status"),
		storeCall:  histogram("tandem_store_call_duration_seconds", "Calls of the store by method, and how long they took.", quick, "call"),
		passwords: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tandem_password_check_duration_seconds", Help: "How long the directory took to check passwords.", Buckets: slow,
		}),
		queue: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tandem_sign_in_queue_duration_seconds", Help: "How long sign-ins waited for their turn.", Buckets: slow,
		}),
		storeErrors: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tandem_store_errors_total", Help: "Calls of the store that failed, by method."}, []string{"call"}),
		ended:       prometheus.NewCounterVec(prometheus.CounterOpts{Name: "tandem_sessions_ended_total", Help: "Sessions that this server has ended, by reason. All sessions of a user at once count as one."}, []string{"reason"}),
		begun:       prometheus.NewCounter(prometheus.CounterOpts{Name: "tandem_sessions_begun_total", Help: "Sessions that have begun."}),
		wentBack:    prometheus.NewCounter(prometheus.CounterOpts{Name: "tandem_store_went_back_total", Help: "Refresh tokens that prove that the store has lost confirmations."}),
	}
	for _, outcome := range signInOutcomes {
		m.signIn.WithLabelValues(outcome)
	}
	for _, outcome := range refreshOutcomes {
		m.refresh.WithLabelValues(outcome)
	}
	for _, reason := range endReasons {
		m.ended.WithLabelValues(string(reason))
	}
	for _, call := range storeCalls {
		m.storeErrors.WithLabelValues(call)
	}
	return m, m.register(m.signIn, m.refresh, m.request, m.storeCall, m.passwords, m.queue, m.storeErrors, m.ended, m.begun, m.wentBack)
}

func (m *Metrics) register(collectors ...prometheus.Collector) error {
	var errs []error
	for _, c := range collectors {
		errs = append(errs, m.registerer.Register(c))
	}
	return errors.Join(errs...)
}

// Watch registers what the server is busy with: waiting sign-ins and followers of the feed.
func (m *Metrics) Watch(s *server.Server) error {
	gauge := func(name, help string, value func(server.Stats) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value(s.Stats())) })
	}
	return m.register(
		gauge("tandem_sign_in_queue_waiting", "Sign-ins that wait for their turn.", func(s server.Stats) int { return s.SignInsWaiting }),
		gauge("tandem_sign_in_queue_running", "Sign-ins whose password is being checked.", func(s server.Stats) int { return s.SignInsRunning }),
		gauge("tandem_sign_in_queue_turns", "How many passwords are checked at once.", func(s server.Stats) int { return s.SignInTurns }),
		gauge("tandem_feed_followers", "Followers of the feed of ended sessions.", func(s server.Stats) int { return s.FeedFollowers }),
	)
}

// Observe is a [server.ObserveFunc].
func (m *Metrics) Observe(ctx context.Context, work server.Work) (context.Context, func(server.Result)) {
	began := time.Now()
	return ctx, func(r server.Result) {
		took := time.Since(began).Seconds()
		switch work.Kind {
		case server.WorkRequest:
			m.answered(work.Name, r, took)
		case server.WorkStore:
			m.storeCall.WithLabelValues(work.Name).Observe(took)
			if r.Err != nil && !errors.Is(r.Err, store.ErrNotFound) && !errors.Is(r.Err, store.ErrExists) && !errors.Is(r.Err, context.Canceled) {
				m.storeErrors.WithLabelValues(work.Name).Inc()
			}
		case server.WorkQueue:
			m.queue.Observe(took)
		case server.WorkPassword:
			m.passwords.Observe(took)
		}
	}
}

// follow is the endpoint whose requests last for as long as somebody listens.
const follow = "/oauth/ended"

func (m *Metrics) answered(endpoint string, r server.Result, took float64) {
	if endpoint != follow {
		m.request.WithLabelValues(endpoint, strconv.Itoa(r.Status/100)+"xx").Observe(took)
	}
	switch {
	case r.Outcome == "":
	case endpoint == "/auth/login":
		m.signIn.WithLabelValues(r.Outcome).Observe(took)
	default:
		m.refresh.WithLabelValues(r.Outcome).Observe(took)
	}
}

// Event is for [server.Config] OnEvent.
func (m *Metrics) Event(e server.Event) {
	switch e.Kind {
	case server.EventSignedIn:
		m.begun.Inc()
	case server.EventSessionEnded:
		m.Ended(e.Reason, 1)
	case server.EventStoreWentBack:
		m.wentBack.Inc()
	}
}

// Ended counts sessions that the program has ended by other ways than the server.
func (m *Metrics) Ended(reason rotation.EndReason, n int) {
	m.ended.WithLabelValues(string(reason)).Add(float64(n))
}
