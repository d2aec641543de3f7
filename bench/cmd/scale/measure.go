package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// atOnce is how many refreshes run at the same time.
const atOnce = 32

// A row is the measurement at one size.
type row struct {
	sessions        int
	bytes           int64
	parts           []part
	alone, together latency
	perSecond       float64
}

// A part is the table of sessions, which comes first, or one of its indexes.
type part struct {
	name  string
	bytes int64
}

func (r row) indexBytes() (sum int64) {
	for _, p := range r.parts[min(1, len(r.parts)):] {
		sum += p.bytes
	}
	return sum
}

type latency struct{ p50, p99 time.Duration }

func latencyOf(took []time.Duration) latency {
	slices.Sort(took)
	at := func(part float64) time.Duration {
		return took[int(part*float64(len(took)-1))].Round(time.Microsecond)
	}
	return latency{p50: at(0.5), p99: at(0.99)}
}

// measure refreshes random sessions, first one after another, then many at the same
// time.
func measure(ctx context.Context, p place, all *population, samples int) (row, error) {
	r := row{sessions: len(all.ids)}
	err := p.use(ctx, func(s server.Store) error {
		if _, err := refreshes(ctx, s, all, 0, 1, samples/10+1); err != nil { // to warm up
			return err
		}
		took, err := refreshes(ctx, s, all, 0, 1, samples)
		if err != nil {
			return err
		}
		r.alone = latencyOf(took)

		start := time.Now()
		n := min(atOnce, len(all.ids)) // each worker has its own share of the sessions
		var workers sync.WaitGroup
		times, errs := make([][]time.Duration, n), make([]error, n)
		for i := range n {
			workers.Go(func() { times[i], errs[i] = refreshes(ctx, s, all, i, n, samples) })
		}
		workers.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
		r.perSecond = float64(n*samples) / time.Since(start).Seconds()
		r.together = latencyOf(slices.Concat(times...))
		return nil
	})
	if err != nil {
		return r, err
	}
	if r.bytes, r.parts, err = p.size(ctx); err != nil {
		return r, fmt.Errorf("ask for the size on the disk: %w", err)
	}
	return r, nil
}

// refreshes confirms the next token of random sessions in the worker's own share.
func refreshes(ctx context.Context, s server.Store, all *population, worker, workers, times int) ([]time.Duration, error) {
	took := make([]time.Duration, 0, times)
	share := len(all.ids) / workers
	for range times {
		i := worker*share + rand.IntN(share)
		to := rotation.Position{Generation: all.generations[i] + 1, Branch: rand.Uint64()} //nolint:gosec // no secret
		start := time.Now()
		got, err := s.Confirm(ctx, all.ids[i], to, time.UnixMilli(start.UnixMilli()))
		if err != nil {
			return nil, err
		}
		if !got.Confirmed {
			return nil, fmt.Errorf("session %s was not confirmed at %v", all.ids[i], to)
		}
		took = append(took, time.Since(start))
		all.generations[i]++
	}
	return took, nil
}
