package tandemotel_test

import (
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"
)

// failing is a meter provider whose meters fail to create instruments.
type failing struct{ noop.MeterProvider }

type failingMeter struct{ noop.Meter }

// Meter returns a meter that fails.
func (failing) Meter(string, ...metric.MeterOption) metric.Meter { return failingMeter{} }

// Float64Histogram returns errMeter.
func (failingMeter) Float64Histogram(string, ...metric.Float64HistogramOption) (metric.Float64Histogram, error) {
	return noop.Float64Histogram{}, errMeter
}

// Int64ObservableCounter returns errMeter.
func (failingMeter) Int64ObservableCounter(string, ...metric.Int64ObservableCounterOption) (metric.Int64ObservableCounter, error) {
	return noop.Int64ObservableCounter{}, errMeter
}
