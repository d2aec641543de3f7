// Package tandemotel reports what happens to a [tandem.Session] as OpenTelemetry traces
// and metrics.
//
//	observe, err := tandemotel.Observe(tandemotel.Options{})
//	…
//	session, err := tandem.Open(ctx, store, tandem.Config{URL: …, Observe: observe})
//	…
//	registration, err := tandemotel.RegisterStats(session.Stats, tandemotel.Options{})
//	…
//	defer registration.Unregister()
//
// Observe makes spans named after the [tandem.EventKind]: tandem.sign_in,
// tandem.refresh (also for a refresh that failed), tandem.adopt, tandem.store_failed,
// tandem.end and tandem.sign_out. Each is a child of the span of the request that
// caused it, and may end after that span. A replay is part of its request, so it is an
// event tandem.replay of the request's span. Observe also records the histogram
// tandem.client.refresh.duration, in seconds.
//
// RegisterStats adds the counters tandem.client.requests, .expiries, .replays,
// .refreshes, .refresh.failures and .session.ends, with the counts of [tandem.Stats].
//
// Attributes:
//   - tandem.session.id, of spans and their events alone: of metrics it would make one
//     series a session. It names a session and opens none.
//   - tandem.end.reason, of the span tandem.end: why, as [tandem.EndedError] has it.
//   - error.type, of a span that failed and of the histogram: "temporary" if the session
//     lives on, "ended" if it doesn't, "_OTHER" for the rest, such as a store's errors.
//
// None of them contains a token.
package tandemotel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandem-auth/tandem"
)

// Options say where spans and metrics go. The zero value suits a program with one
// session.
type Options struct {
	// TracerProvider receives the spans. Defaults to the global one.
	TracerProvider trace.TracerProvider

	// MeterProvider receives the metrics. Defaults to the global one.
	MeterProvider metric.MeterProvider

	// Attributes are added to all spans and metrics, such as the purpose of a session
	// in a program that has several. Defaults to none.
	Attributes []attribute.KeyValue
}

func (o Options) withDefaults() Options {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	return o
}

const scope = "github.com/tandem-auth/tandem/tandemotel"

// Attributes.
const (
	sessionID = attribute.Key("tandem.session.id")
	endReason = attribute.Key("tandem.end.reason")
	errorType = attribute.Key("error.type")
)

// Observe returns a function for [tandem.Config].Observe. The error is the meter's.
func Observe(options Options) (func(ctx context.Context, e tandem.Event), error) {
	options = options.withDefaults()
	duration, err := options.MeterProvider.Meter(scope).Float64Histogram("tandem.client.refresh.duration",
		metric.WithUnit("s"),
		metric.WithDescription("How long refreshes took, all attempts in a row together."),
		metric.WithExplicitBucketBoundaries(.005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 30))
	if err != nil {
		return nil, fmt.Errorf("make the histogram of refreshes: %w", err)
	}
	o := &observer{
		tracer:     options.TracerProvider.Tracer(scope),
		duration:   duration,
		attributes: slices.Clip(slices.Clone(options.Attributes)),
	}
	return o.observe, nil
}

type observer struct {
	tracer     trace.Tracer
	duration   metric.Float64Histogram
	attributes []attribute.KeyValue
}

func (o *observer) observe(ctx context.Context, e tandem.Event) {
	name := "tandem." + string(e.Kind)
	switch e.Kind {
	case tandem.EventReplay:
		trace.SpanFromContext(ctx).AddEvent(name, trace.WithTimestamp(e.Begun), trace.WithAttributes(o.of(e)...))
		return
	case tandem.EventRefreshFailed:
		name = "tandem." + string(tandem.EventRefresh)
		o.refreshed(ctx, e)
	case tandem.EventRefresh, tandem.EventEnd:
		o.refreshed(ctx, e)
	case tandem.EventSignIn, tandem.EventAdopt, tandem.EventStoreFailed, tandem.EventSignOut:
		// These events have a span and no metric.
	}
	_, span := o.tracer.Start(ctx, name, trace.WithTimestamp(e.Begun), trace.WithAttributes(o.of(e)...))
	if e.Err != nil {
		span.SetStatus(codes.Error, e.Err.Error())
	}
	span.End(trace.WithTimestamp(e.Begun.Add(e.Duration)))
}

// refreshed records a refresh, successful or not. ctx carries the refresh's span, for
// exemplars.
func (o *observer) refreshed(ctx context.Context, e tandem.Event) {
	attributes := o.attributes
	if e.Err != nil {
		attributes = append(attributes, errorType.String(typeOf(e.Err)))
	}
	o.duration.Record(ctx, e.Duration.Seconds(), metric.WithAttributes(attributes...))
}

// of returns the attributes of the span or span event for e.
func (o *observer) of(e tandem.Event) []attribute.KeyValue {
	attributes := o.attributes
	if e.SessionID != "" {
		attributes = append(attributes, sessionID.String(e.SessionID))
	}
	if e.Err != nil {
		attributes = append(attributes, errorType.String(typeOf(e.Err)))
	}
	if end, ok := errors.AsType[*tandem.EndedError](e.Err); ok {
		attributes = append(attributes, endReason.String(string(end.Reason)))
	}
	return attributes
}

func typeOf(err error) string {
	if _, ok := errors.AsType[*tandem.EndedError](err); ok {
		return "ended"
	}
	if _, ok := errors.AsType[*tandem.TemporaryError](err); ok {
		return "temporary"
	}
	return "_OTHER"
}
