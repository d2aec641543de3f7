package tandemotel

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"go.opentelemetry.io/otel/metric"

	"github.com/tandem-auth/tandem"
)

// RegisterStats makes the meter read the counts whenever it collects metrics, until the
// caller calls Unregister on the result. Pass [tandem.Session.Stats], or a function
// that adds up the counts of all sessions: to register several sessions separately,
// give each of them different Options.Attributes. The error is the meter's.
func RegisterStats(stats func() tandem.Stats, options Options) (metric.Registration, error) {
	options = options.withDefaults()
	meter := options.MeterProvider.Meter(scope)
	with := metric.WithAttributes(slices.Clone(options.Attributes)...)

	var all []metric.Observable
	var errs []error
	counter := func(name, unit, description string) metric.Int64Observable {
		c, err := meter.Int64ObservableCounter("tandem.client."+name, metric.WithUnit(unit), metric.WithDescription(description))
		all, errs = append(all, c), append(errs, err)
		return c
	}
	requests := counter("requests", "{request}", "Requests that were sent with an access token, replays not counted.")
	expiries := counter("expiries", "{token}", "Access tokens in use that ran out, or were refused.")
	replays := counter("replays", "{request}", "Requests that were refused and sent again.")
	refreshes := counter("refreshes", "{refresh}", "Refreshes that fetched the next tokens.")
	failures := counter("refresh.failures", "{refresh}", "Refreshes that failed after all attempts, while the session lived on.")
	ends := counter("session.ends", "{session}", "Sessions that ended, other than by signing out here.")

	registration, err := meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		now := stats()
		o.ObserveInt64(requests, now.Requests, with)
		o.ObserveInt64(expiries, now.Expiries, with)
		o.ObserveInt64(replays, now.Replays, with)
		o.ObserveInt64(refreshes, now.Refreshes, with)
		o.ObserveInt64(failures, now.RefreshFailures, with)
		o.ObserveInt64(ends, now.Ends, with)
		return nil
	}, all...)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, fmt.Errorf("register the counters: %w", err)
	}
	return registration, nil
}
