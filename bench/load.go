package bench

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A load is the set of clients of one server.
type load struct {
	clients []*client
	failed  atomic.Bool
}

// A measurement contains the clients' counts and the CPU use of the processes.
type measurement struct {
	rate      float64 // refreshes per second
	p50, p99  time.Duration
	all       int           // all refreshes, including those of the warm-up
	serverCPU time.Duration // per refresh
	loadCPU   time.Duration // per refresh
	others    float64       // how many cores other processes kept busy
}

// newLoad connects the clients and signs them in, one after another.
func newLoad(ctx context.Context, address string, d *dialect, n int, username, password string) (*load, error) {
	l := &load{}
	for range n {
		c, err := dial(ctx, address, d)
		if err != nil {
			return nil, errors.Join(err, l.close())
		}
		l.clients = append(l.clients, c)
		if err := c.signIn(username, password); err != nil {
			return nil, errors.Join(err, l.close())
		}
		if ctx.Err() != nil {
			return nil, errors.Join(ctx.Err(), l.close())
		}
	}
	return l, nil
}

func (l *load) close() error {
	var errs []error
	for _, c := range l.clients {
		errs = append(errs, c.conn.Close())
	}
	return errors.Join(errs...)
}

// run makes all clients refresh, and counts after the warm-up. When a client fails, all
// clients stop.
func (l *load) run(ctx context.Context, warmup, measured time.Duration, server *process) (measurement, error) {
	from := time.Now().Add(warmup)
	to := from.Add(measured)
	stop := context.AfterFunc(ctx, func() { l.failed.Store(true) })
	defer stop()

	var wg sync.WaitGroup
	results := make([]result, len(l.clients))
	for i, c := range l.clients {
		wg.Go(func() { results[i] = l.refreshAll(c, from, to) })
	}
	cpu, cpuErr := watchCPU(ctx, from, to, server)
	wg.Wait()

	if ctx.Err() != nil {
		return measurement{}, ctx.Err()
	}
	if err := errors.Join(firstFailure(results), cpuErr); err != nil {
		return measurement{}, err
	}
	m := sum(results, measured)
	m.serverCPU = time.Duration(cpu.server / m.rate * float64(time.Second))
	m.loadCPU = time.Duration(cpu.load / m.rate * float64(time.Second))
	m.others = max(0, cpu.machine-cpu.server-cpu.load)
	return m, nil
}

// A result contains the refreshes of one client.
type result struct {
	took []time.Duration // durations of the counted refreshes
	all  int
	err  error
}

// refreshAll refreshes until the time to. A refresh counts if its answer arrives
// between from and to.
func (l *load) refreshAll(c *client, from, to time.Time) (r result) {
	if r.err = c.conn.SetDeadline(to.Add(requestTimeout)); r.err != nil {
		return r
	}
	for began := time.Now(); began.Before(to) && !l.failed.Load(); {
		if r.err = c.refresh(); r.err != nil {
			l.failed.Store(true)
			return r
		}
		r.all++
		now := time.Now()
		if now.After(from) && !now.After(to) {
			r.took = append(r.took, now.Sub(began))
		}
		if r.all == mostPerClient {
			r.err = fmt.Errorf("a client has made %d refreshes: measure for a shorter time", r.all)
			l.failed.Store(true)
			return r
		}
		began = now
	}
	return r
}

func firstFailure(results []result) error {
	var first error
	failures := 0
	for _, r := range results {
		if r.err == nil {
			continue
		}
		if failures == 0 {
			first = r.err
		}
		failures++
	}
	if failures == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d clients failed: %w", failures, len(results), first)
}

func sum(results []result, measured time.Duration) measurement {
	var m measurement
	var took []time.Duration
	for _, r := range results {
		took = append(took, r.took...)
		m.all += r.all
	}
	slices.Sort(took)
	m.rate = float64(len(took)) / measured.Seconds()
	m.p50, m.p99 = percentile(took, 50), percentile(took, 99)
	return m
}

// percentile returns the smallest value that at least p percent of the values do not
// exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)*p+99)/100-1]
}
