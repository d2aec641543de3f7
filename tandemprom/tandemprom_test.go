package tandemprom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/tandemprom"
)

func newMetrics(t testing.TB) (*tandemprom.Metrics, *prometheus.Registry) {
	t.Helper()
	registry := prometheus.NewRegistry()
	m, err := tandemprom.New(registry)
	if err != nil {
		t.Fatal(err)
	}
	return m, registry
}

// An error of the store counts; that there is no such session, or that the caller went away,
// is none.
func TestErrorsOfTheStore(t *testing.T) {
	m, registry := newMetrics(t)
	for _, err := range []error{nil, store.ErrNotFound, fmt.Errorf("get: %w", store.ErrExists), context.Canceled, errors.New("refused"), context.DeadlineExceeded} {
		_, done := m.Observe(t.Context(), server.Work{Kind: server.WorkStore, Name: "Get"})
		done(server.Result{Err: err})
	}
	const want = "# HELP tandem_store_errors_total Calls of the store that failed, by method.\n# TYPE tandem_store_errors_total counter\n"
	text := want
	for _, call := range []string{"Confirm", "Create", "End", "EndSubject", "Get", "List", "Ping", "PutOnce", "Sweep", "SweepOnce"} {
		n := 0
		if call == "Get" {
			n = 2
		}
		text += fmt.Sprintf("tandem_store_errors_total{call=%q} %d\n", call, n)
	}
	if err := testutil.GatherAndCompare(registry, strings.NewReader(text), "tandem_store_errors_total"); err != nil {
		t.Error(err)
	}
}

func TestEvents(t *testing.T) {
	m, registry := newMetrics(t)
	for _, e := range []server.Event{
		{Kind: server.EventSignedIn},
		{Kind: server.EventSessionEnded, Reason: rotation.ReuseDetected},
		{Kind: server.EventSessionEnded, Reason: rotation.SignedOut},
		{Kind: server.EventSessionEnded, Reason: rotation.SignedOut},
		{Kind: server.EventStoreWentBack},
		{Kind: server.EventRefreshed},
	} {
		m.Event(e)
	}
	m.Ended(rotation.Revoked, 5)
	const want = `# HELP tandem_sessions_begun_total Sessions that have begun.
# TYPE tandem_sessions_begun_total counter
tandem_sessions_begun_total 1
# HELP tandem_sessions_ended_total Sessions that this server has ended, by reason. All sessions of a user at once count as one.
# TYPE tandem_sessions_ended_total counter
tandem_sessions_ended_total{reason="expired"} 0
tandem_sessions_ended_total{reason="reuse_detected"} 1
tandem_sessions_ended_total{reason="revoked"} 5
tandem_sessions_ended_total{reason="signed_out"} 2
# HELP tandem_store_went_back_total Refresh tokens that prove that the store has lost confirmations.
# TYPE tandem_store_went_back_total counter
tandem_store_went_back_total 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "tandem_sessions_begun_total", "tandem_sessions_ended_total", "tandem_store_went_back_total"); err != nil {
		t.Error(err)
	}
}

// A second server in a process needs a registerer of its own, and New says so.
func TestTwoServersInOneRegistry(t *testing.T) {
	_, registry := newMetrics(t)
	if _, err := tandemprom.New(registry); err == nil {
		t.Error("registered twice")
	}
	registry = prometheus.NewRegistry()
	for _, name := range []string{"one", "two"} {
		if _, err := tandemprom.New(prometheus.WrapRegistererWith(prometheus.Labels{"server": name}, registry)); err != nil {
			t.Error(err)
		}
	}
}

// What a refresh pays for being counted: the request and one call of the store.
func BenchmarkObserve(b *testing.B) {
	m, _ := newMetrics(b)
	for b.Loop() {
		ctx, answered := m.Observe(b.Context(), server.Work{Kind: server.WorkRequest, Name: "/auth/refresh-token"})
		_, confirmed := m.Observe(ctx, server.Work{Kind: server.WorkStore, Name: "Confirm"})
		confirmed(server.Result{})
		answered(server.Result{Status: 200, Outcome: "refreshed"})
	}
}
