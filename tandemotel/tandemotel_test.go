package tandemotel_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
	"github.com/tandem-auth/tandem/tandemotel"
)

// The span of a refresh is in the trace of the request that caused the refresh, from
// its beginning to its end.
func TestARefreshIsASpanOfTheRequestThatSetItOff(t *testing.T) {
	inWorld(t, func(w *world) {
		w.expectSpan("tandem.sign_in")
		w.slowly(3 * time.Second)
		w.expire()
		begun := time.Now()
		request, err := w.hello()
		if err != nil {
			t.Fatal(err)
		}
		span := w.expectSpan("tandem.refresh")
		if !span.StartTime.Equal(begun) || span.EndTime.Sub(span.StartTime) != 3*time.Second {
			w.Errorf("from %s to %s, want 3 s from %s on", span.StartTime, span.EndTime, begun)
		}
		if !span.Parent.Equal(request) {
			w.Errorf("child of %v, want %v", span.Parent.SpanID(), request.SpanID())
		}
	})
}

// A replay is an event of its request's span.
func TestAReplayIsAnEventOfItsRequest(t *testing.T) {
	inWorld(t, func(w *world) {
		refused := false
		w.server.Script(func(rw http.ResponseWriter, r *http.Request) bool {
			if refused || r.URL.Path != testserver.Hello {
				return false
			}
			refused = true
			rw.WriteHeader(http.StatusUnauthorized)
			return true
		})
		if _, err := w.hello(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		spans := w.spans.GetSpans()
		i := slices.IndexFunc(spans, func(s tracetest.SpanStub) bool { return s.Name == "hello" })
		if events := spans[i].Events; len(events) != 1 || events[0].Name != "tandem.replay" || fmt.Sprint(flat(events[0].Attributes)) != "[app.api=orders tandem.session.id]" {
			w.Errorf("the request's events: %+v", events)
		}
		if spans := w.told(); len(spans) != 2 {
			w.Errorf("want a sign-in and a refresh: %+v", spans)
		}
	})
}

// The other events of a session are spans, too, and have a status.
func TestWhatHappensToASessionIsASpan(t *testing.T) {
	inWorld(t, func(w *world) {
		w.told()
		w.server.Script(func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.WriteHeader(http.StatusBadGateway)
			return true
		})
		w.expire()
		_, err := w.hello()
		if _, ok := errors.AsType[*tandem.TemporaryError](err); !ok {
			t.Fatal(err)
		}
		w.expectSpan("tandem.refresh", "error.type=temporary")

		w.server.Script(nil)
		time.Sleep(time.Minute)
		other := w.open(w.store)
		if _, err := other.Token(w.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectSpan("tandem.refresh")
		if _, err := w.hello(); err != nil {
			t.Fatal(err)
		}
		w.expectSpan("tandem.adopt")

		w.store.FailSwaps(errors.New("disk full"))
		w.expire()
		if _, err := w.hello(); err != nil {
			t.Fatal(err)
		}
		spans := w.told()
		if len(spans) != 2 {
			t.Fatalf("told of %+v", spans)
		}
		w.expect(spans[0], "tandem.store_failed", "error.type=_OTHER")
		w.expect(spans[1], "tandem.refresh")

		w.store.Well()
		if _, err := w.server.Store.EndSubject(w.Context(), "user-ann", "revoked", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.expire()
		request, err := w.hello()
		if _, ok := errors.AsType[*tandem.EndedError](err); !ok {
			t.Fatal(err)
		}
		if span := w.expectSpan("tandem.end", "error.type=ended", "tandem.end.reason=revoked"); !span.Parent.Equal(request) {
			w.Error("the end is not in its request's trace")
		}

		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		w.expectSpan("tandem.sign_in")
		if err := w.session.SignOut(w.Context()); err != nil {
			t.Fatal(err)
		}
		w.expectSpan("tandem.sign_out")
	})
}

// The counters show the session's counts when the meter collects them, and no longer
// after Unregister.
func TestTheCountersOfASession(t *testing.T) {
	inWorld(t, func(w *world) {
		registration, err := tandemotel.RegisterStats(w.session.Stats, w.options)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			w.expire()
			if _, err := w.hello(); err != nil {
				t.Fatal(err)
			}
		}
		w.server.Script(func(rw http.ResponseWriter, _ *http.Request) bool {
			rw.WriteHeader(http.StatusBadGateway)
			return true
		})
		w.expire()
		_, _ = w.hello()
		w.expectCounts("expiries=3 refresh.failures=1 refreshes=2 replays=0 requests=2 session.ends=0")
		if err := registration.Unregister(); err != nil {
			t.Fatal(err)
		}
		w.expectCounts("")
	})
}

// Every count has its counter.
func TestEveryCountHasItsCounter(t *testing.T) {
	inWorld(t, func(w *world) {
		_, err := tandemotel.RegisterStats(func() tandem.Stats {
			return tandem.Stats{Requests: 1, Expiries: 2, Replays: 3, Refreshes: 4, RefreshFailures: 5, Ends: 6}
		}, w.options)
		if err != nil {
			t.Fatal(err)
		}
		w.expectCounts("expiries=2 refresh.failures=5 refreshes=4 replays=3 requests=1 session.ends=6")
	})
}

// The histogram contains every refresh with its duration. It distinguishes failures by
// the kind of error, never by session.
func TestTheDurationsOfRefreshes(t *testing.T) {
	inWorld(t, func(w *world) {
		w.slowly(3 * time.Second)
		for range 2 {
			w.expire()
			if _, err := w.hello(); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := w.server.Store.EndSubject(w.Context(), "user-ann", "revoked", time.Now()); err != nil {
			t.Fatal(err)
		}
		w.expire()
		_, _ = w.hello()
		synctest.Wait()

		histogram := w.collect()["tandem.client.refresh.duration"]
		if histogram.Unit != "s" {
			w.Errorf("unit %q", histogram.Unit)
		}
		var got []string
		for _, point := range histogram.Data.(metricdata.Histogram[float64]).DataPoints {
			got = append(got, fmt.Sprint(flat(point.Attributes.ToSlice()), " ", point.Count, " in ", point.Sum))
		}
		slices.Sort(got)
		if want := []string{"[app.api=orders error.type=ended] 1 in 3", "[app.api=orders] 2 in 6"}; !slices.Equal(got, want) {
			w.Errorf("refreshes: %q, want %q", got, want)
		}
	})
}

// Without providers in the options, spans and metrics go to the global ones.
func TestTheGlobalProvidersAreTheDefault(t *testing.T) {
	traces, meters := otel.GetTracerProvider(), otel.GetMeterProvider()
	t.Cleanup(func() {
		otel.SetTracerProvider(traces)
		otel.SetMeterProvider(meters)
	})
	inWorld(t, func(w *world) {
		otel.SetTracerProvider(w.options.TracerProvider)
		otel.SetMeterProvider(w.options.MeterProvider)
		w.options = tandemotel.Options{}
		w.session = w.open(tandem.NewMemoryStore())
		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			t.Fatal(err)
		}
		if spans := w.told(); len(spans) != 2 {
			w.Errorf("want two sign-ins: %+v", spans)
		}
		w.expire()
		if _, err := w.hello(); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if _, ok := w.collect()["tandem.client.refresh.duration"]; !ok {
			w.Error("the histogram is not there")
		}
	})
}

// The functions return the error of a meter that fails.
func TestAMeterThatFails(t *testing.T) {
	options := tandemotel.Options{MeterProvider: failing{}}
	if _, err := tandemotel.Observe(options); !errors.Is(err, errMeter) {
		t.Errorf("Observe: %v", err)
	}
	if _, err := tandemotel.RegisterStats(func() tandem.Stats { return tandem.Stats{} }, options); !errors.Is(err, errMeter) {
		t.Errorf("RegisterStats: %v", err)
	}
}

var errMeter = errors.New("no instruments left")
