package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
)

// Run measures all servers and returns a report. When it returns, even with an error or
// because ctx ended, it has stopped every process that it started and removed its
// files.
func Run(ctx context.Context, config Config) (_ Report, err error) {
	if err := config.check(); err != nil {
		return Report{}, err
	}
	folder, err := newFolder()
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()

	config.progress("building")
	programs, err := build(ctx, folder)
	if err != nil {
		return Report{}, err
	}
	w := &workshop{folder: folder, programs: programs, username: "bench", password: rand.Text()}
	r := &run{config: config, report: newReport(config)}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.open(ctx, w); err != nil {
		return Report{}, err
	}
	for n := range config.Rounds {
		if err := r.round(ctx, n); err != nil {
			return Report{}, err
		}
	}
	r.report.finish()
	return r.report, nil
}

type run struct {
	config  Config
	targets []*target
	report  Report
}

// open prepares the targets that the config selects. It leaves out a target if a
// program for it is missing, and the report gives the reason.
func (r *run) open(ctx context.Context, w *workshop) error {
	for _, k := range kinds() {
		if len(r.config.Only) > 0 && !slices.Contains(r.config.Only, k.key) {
			continue
		}
		r.config.progress("preparing %s", k.name)
		t, err := w.open(ctx, k)
		switch {
		case errors.Is(err, engines.ErrNotInstalled), errors.Is(err, errNoStore):
			r.report.Skipped = append(r.report.Skipped, Skipped{Key: k.key, Name: k.name, Reason: reason(err)})
			continue
		case err != nil:
			return err
		}
		r.targets = append(r.targets, t)
		r.report.Targets = append(r.report.Targets, Target{Key: t.key, Name: t.name, Durable: t.durable})
	}
	return ctx.Err()
}

func (r *run) close() error {
	var errs []error
	for _, t := range r.targets {
		errs = append(errs, t.close())
	}
	return errors.Join(errs...)
}

// round measures each target once.
func (r *run) round(ctx context.Context, n int) error {
	for i, t := range r.targets {
		r.config.progress("measuring %s, round %d of %d", t.name, n+1, r.config.Rounds)
		figures, err := t.measure(ctx, r.config)
		if err != nil {
			return fmt.Errorf("measure %s: %w", t.name, err)
		}
		r.config.progress("  %.0f refreshes/s", figures.RefreshesPerSecond)
		r.report.Targets[i].Rounds = append(r.report.Targets[i].Rounds, figures)
	}
	return nil
}

// measure starts the target, measures it and stops it.
func (t *target) measure(ctx context.Context, config Config) (_ Figures, err error) {
	var before map[string]int64
	if t.engine != nil {
		if err := t.engine.Start(); err != nil {
			return Figures{}, fmt.Errorf("start the engine: %w", err)
		}
		defer func() { err = errors.Join(err, t.engine.Stop()) }()
		if before, err = t.engine.count(ctx); err != nil {
			return Figures{}, err
		}
	}
	m, err := t.loadServer(ctx, config)
	if err != nil {
		return Figures{}, err
	}
	figures := m.figures()
	if t.engine != nil {
		after, err := t.engine.count(ctx)
		if err != nil {
			return Figures{}, err
		}
		figures.count(difference(before, after), m.all)
	}
	return figures, nil
}

// loadServer starts the server, measures it and stops it; the database behind it
// already runs.
func (t *target) loadServer(ctx context.Context, config Config) (_ measurement, err error) {
	server, err := t.serve.start(ctx)
	if err != nil {
		return measurement{}, err
	}
	defer func() { err = errors.Join(err, server.stop()) }()
	l, err := newLoad(ctx, server.address(), t.dialect, config.Clients, t.username, t.password)
	if err != nil {
		return measurement{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	return l.run(ctx, config.Warmup, config.Measured, server)
}

// reason returns in a few words why a target is left out.
func reason(err error) string {
	if errors.Is(err, errNoStore) {
		return errNoStore.Error()
	}
	return "a program of it " + engines.ErrNotInstalled.Error()
}
