package tandemotel_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemotel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A world is a real server, ann's session on it, and an OpenTelemetry SDK that records
// in memory, in a synctest bubble, whose clock advances when all goroutines wait.
type world struct {
	*testing.T
	server  *testserver.Server
	store   *faultystore.Store
	session *tandem.Session
	options tandemotel.Options
	tracer  trace.Tracer
	spans   *tracetest.InMemoryExporter
	metrics *sdkmetric.ManualReader
}

// inWorld runs a story in which ann has signed in. It fails if a recorded span or
// metric contains a token.
func inWorld(t *testing.T, story func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			T:       t,
			server:  testserver.New(t),
			store:   faultystore.New(tandem.NewMemoryStore()),
			spans:   tracetest.NewInMemoryExporter(),
			metrics: sdkmetric.NewManualReader(),
		}
		traces := sdktrace.NewTracerProvider(sdktrace.WithSyncer(w.spans))
		w.tracer = traces.Tracer("test")
		w.options = tandemotel.Options{
			TracerProvider: traces,
			MeterProvider:  sdkmetric.NewMeterProvider(sdkmetric.WithReader(w.metrics)),
			Attributes:     []attribute.KeyValue{attribute.String("app.api", "orders")},
		}
		w.session = w.open(w.store)
		if err := w.session.SignIn(t.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		story(w)
	})
}

func (w *world) open(store tandem.Store) *tandem.Session {
	w.Helper()
	observe, err := tandemotel.Observe(w.options)
	if err != nil {
		w.Fatal(err)
	}
	s, err := tandem.Open(context.Background(), store, tandem.Config{URL: testserver.URL, Transport: w.server.Transport(), RefreshAhead: -1, Observe: observe})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { s.Close() })
	return s
}

// expire waits until the access token has expired.
func (w *world) expire() { time.Sleep(testserver.AccessTTL) }

// hello makes a call of the API within a span of its own, and returns that span.
func (w *world) hello() (trace.SpanContext, error) {
	w.Helper()
	ctx, span := w.tracer.Start(w.Context(), "hello")
	defer span.End()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, testserver.URL+testserver.Hello, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	resp, err := w.session.Client().Do(req)
	if err == nil {
		resp.Body.Close()
	}
	return span.SpanContext(), err
}

// told returns the spans recorded since its last call, except those of hello.
func (w *world) told() tracetest.SpanStubs {
	w.Helper()
	synctest.Wait()
	spans := w.spans.GetSpans()
	w.spans.Reset()
	if text := fmt.Sprintf("%+v", spans); strings.Contains(text, "eyJ") || strings.Contains(text, "tandem_rt_") || strings.Contains(text, "nna") {
		w.Errorf("a secret was told: %s", text)
	}
	return slices.DeleteFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == "hello" })
}

// expectSpan fails the test unless exactly one span was recorded, with this name, these
// attributes and the common ones. It returns the span.
func (w *world) expectSpan(name string, attributes ...string) tracetest.SpanStub {
	w.Helper()
	spans := w.told()
	if len(spans) != 1 {
		w.Fatalf("told of %d spans, want one: %+v", len(spans), spans)
	}
	w.expect(spans[0], name, attributes...)
	return spans[0]
}

func (w *world) expect(span tracetest.SpanStub, name string, attributes ...string) {
	w.Helper()
	want := append([]string{"app.api=orders", "tandem.session.id"}, attributes...)
	if got := flat(span.Attributes); span.Name != name || fmt.Sprint(got) != fmt.Sprint(want) {
		w.Errorf("a span %q with %q, want %q with %q", span.Name, got, name, want)
	}
	if failed := len(attributes) > 0; (span.Status.Code == codes.Error) != failed || (span.Status.Description != "") != failed {
		w.Errorf("status of %s: %+v", name, span.Status)
	}
}

// flat returns attributes as text; it leaves out the value of the session ID, which is
// random.
func flat(attributes []attribute.KeyValue) []string {
	var all []string
	for _, a := range attributes {
		if a.Key == "tandem.session.id" && a.Value.AsString() != "" {
			all = append(all, string(a.Key))
			continue
		}
		all = append(all, string(a.Key)+"="+a.Value.AsString())
	}
	return all
}

// slowly makes each refresh take the given time.
func (w *world) slowly(wait time.Duration) {
	w.server.Script(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == testserver.Refresh {
			time.Sleep(wait)
		}
		return false
	})
}

func (w *world) collect() map[string]metricdata.Metrics {
	w.Helper()
	var all metricdata.ResourceMetrics
	if err := w.metrics.Collect(w.Context(), &all); err != nil {
		w.Fatal(err)
	}
	metrics := map[string]metricdata.Metrics{}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			metrics[m.Name] = m
		}
	}
	return metrics
}

func (w *world) expectCounts(want string) {
	w.Helper()
	var got []string
	for name, m := range w.collect() {
		sum, ok := m.Data.(metricdata.Sum[int64])
		if !ok {
			continue
		}
		if len(sum.DataPoints) != 1 || !sum.IsMonotonic || fmt.Sprint(flat(sum.DataPoints[0].Attributes.ToSlice())) != "[app.api=orders]" {
			w.Errorf("%s is %+v", name, sum)
			continue
		}
		got = append(got, fmt.Sprint(strings.TrimPrefix(name, "tandem.client."), "=", sum.DataPoints[0].Value))
	}
	slices.Sort(got)
	if strings.Join(got, " ") != want {
		w.Errorf("counted %s, want %s", strings.Join(got, " "), want)
	}
}
