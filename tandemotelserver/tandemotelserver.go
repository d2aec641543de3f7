// Package tandemotelserver traces the work of a [server.Server] with OpenTelemetry: a span
// for each request, which continues the caller's trace, and within it one for each call of
// the store, for each wait for a turn and for each check of a password.
//
// No attribute has a token, a password, a name or an address in it.
package tandemotelserver

import (
	"context"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/tandem-auth/tandem/server"
)

// scope is the name of the instrumentation.
const scope = "github.com/tandem-auth/tandem/tandemotelserver"

// Observe returns a function for [server.Config] Observe that makes spans. Requests continue
// the trace that the header traceparent (W3C Trace Context) names; a request without one
// begins a trace. Work in the background begins none.
func Observe(provider trace.TracerProvider) server.ObserveFunc {
	tracer := provider.Tracer(scope)
	return func(ctx context.Context, work server.Work) (context.Context, func(server.Result)) {
		if work.Kind == server.WorkRequest {
			return request(ctx, tracer, work)
		}
		if !trace.SpanContextFromContext(ctx).IsValid() {
			return ctx, func(server.Result) {}
		}
		name := string(work.Kind)
		if work.Name != "" {
			name += "." + work.Name
		}
		ctx, span := tracer.Start(ctx, "tandem."+name)
		return ctx, func(r server.Result) {
			if r.Err != nil {
				span.SetStatus(codes.Error, "failed") // the text of the error may name what is private
			}
			span.End()
		}
	}
}

func request(ctx context.Context, tracer trace.Tracer, work server.Work) (context.Context, func(server.Result)) {
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(work.Request.Header))
	ctx, span := tracer.Start(ctx, work.Request.Method+" "+work.Name, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
		attribute.String("http.request.method", work.Request.Method),
		attribute.String("http.route", work.Name),
		attribute.String("tandem.request_id", server.RequestID(ctx)),
	))
	return ctx, func(r server.Result) {
		span.SetAttributes(attribute.Int("http.response.status_code", r.Status))
		if r.Outcome != "" {
			span.SetAttributes(attribute.String("tandem.outcome", r.Outcome))
		}
		if r.Status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(r.Status))
		}
		span.End()
	}
}
