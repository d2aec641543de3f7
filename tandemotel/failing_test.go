package tandemotel_test

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// failing makes meters that make no instruments.
type failing struct{ noop.MeterProvider }

type failingMeter struct{ noop.Meter }

// Meter returns one that fails.
func (failing) Meter(string, ...metric.MeterOption) metric.Meter { return failingMeter{} }

// Float64Histogram fails.
func (failingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, errMeter
}

// Int64ObservableCounter fails.
func (failingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, errMeter
}
