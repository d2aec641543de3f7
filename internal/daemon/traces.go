package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/tandem-auth/tandem/server"
)

// flushTimeout bounds how long a daemon that stops waits for the collector.
const flushTimeout = 3 * time.Second

// openTraces returns a provider of traces that sends them to a collector by OTLP over HTTP.
// The standard variables (OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER and others) say
// the rest.
func openTraces(ctx context.Context, collector, version string, logger *slog.Logger) (*trace.TracerProvider, error) {
	if err := checkOTLP(collector); err != nil {
		return nil, err
	}
	u, err := url.Parse(collector)
	if err != nil {
		return nil, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(u.JoinPath("v1/traces").String()))
	if err != nil {
		return nil, fmt.Errorf("--otlp: %w", err)
	}
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", "tandem"), attribute.String("service.version", version)),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, fmt.Errorf("--otlp: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { logger.Warn("cannot send traces", "error", err) }))
	return trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about)), nil
}

func checkOTLP(collector string) error {
	u, err := url.Parse(collector)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return errors.New("--otlp: want the URL of a collector, such as http://localhost:4318; what it needs in headers goes into OTEL_EXPORTER_OTLP_HEADERS")
	}
	return nil
}

// observers returns one observer that calls all, the first outermost.
func observers(all ...server.ObserveFunc) server.ObserveFunc {
	if len(all) == 0 {
		return nil
	}
	outer, inner := all[0], observers(all[1:]...)
	if inner == nil {
		return outer
	}
	return func(ctx context.Context, work server.Work) (context.Context, func(server.Result)) {
		within, outerDone := outer(ctx, work)
		within, innerDone := inner(within, work)
		return within, func(r server.Result) {
			innerDone(r)
			outerDone(r)
		}
	}
}
