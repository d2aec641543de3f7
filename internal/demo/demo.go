// Package demo shows Tandem's purpose in a terminal: many workers share one session
// over a bad network, with tokens that last two seconds and a server that restarts, and
// no call fails.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/faultproxy"
	"github.com/tandem-auth/tandem/internal/tryit"
)

// Config sets how long the demonstration runs and how much it does.
type Config struct {
	Duration  time.Duration
	Workers   int
	AccessTTL time.Duration
	Restarts  int
	// Progress is called about ten times a second. Optional.
	Progress func(elapsed time.Duration, soFar Report)
}

// A Report contains the demonstration's counts.
type Report struct {
	Requests  int64 `json:"requests"` // calls of workers that got an answer
	Retries   int64 `json:"retries"`  // calls that workers repeated after a network fault
	Expiries  int64 `json:"expiries"`
	Refreshes int64 `json:"refreshes"`
	Replays   int64 `json:"replays"`
	Failed    int64 `json:"failed"` // calls that failed until patience ran out
	Logouts   int64 `json:"logouts"`

	RepliesDropped int64 `json:"repliesDropped"`
	Unavailable    int64 `json:"unavailable"` // 503 from the refresh endpoint
	Refused        int64 `json:"refused"`     // 401 from the API for a good token
	Restarts       int64 `json:"restarts"`
}

// OK reports whether the demonstration succeeded: calls were answered, none failed, and
// no session ended.
func (r Report) OK() bool { return r.Failed == 0 && r.Logouts == 0 && r.Requests > 0 }

const (
	replyDropRate   = 0.02 // share of API calls
	replyRefuseRate = 0.0005
	refreshDropRate = 0.25
	refreshBusyRate = 0.25
	workerPause     = 20 * time.Millisecond // between two calls of a worker
	patience        = 10 * time.Second      // how long a worker repeats a call before it counts as failed
)

// A show is one run.
type show struct {
	config  Config
	dir     string
	address string
	session *tandem.Session

	requests, retries, failed     atomic.Int64
	dropped, unavailable, refused atomic.Int64
	restarts                      atomic.Int64
}

// Run runs the demonstration. The error is for a demonstration that could not run;
// calls that failed during it are in the report.
func Run(ctx context.Context, config Config) (_ Report, err error) {
	dir, err := os.MkdirTemp("", "tandem-demo-")
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()

	s := &show{config: config, dir: dir, address: "localhost:0"}
	server, err := s.start(ctx)
	if err != nil {
		return Report{}, err
	}
	s.address = server.daemon.Address()
	proxy, err := faultproxy.Start(server.daemon.URL(), s.fault, nil)
	if err != nil {
		return Report{}, errors.Join(err, server.stop())
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()

	transport := &http.Transport{MaxIdleConnsPerHost: config.Workers}
	defer transport.CloseIdleConnections()
	s.session, err = tandem.Open(ctx, tandem.NewMemoryStore(), tandem.Config{
		URL:          proxy.URL(),
		Device:       "tandem demo",
		Transport:    transport,
		RefreshAhead: -1, // so that tokens expire while the workers use them
	})
	if err != nil {
		return Report{}, errors.Join(err, server.stop())
	}
	defer s.session.Close()
	if err := s.session.SignIn(ctx, tryit.Username, tryit.Password); err != nil {
		return Report{}, errors.Join(err, server.stop())
	}
	err = s.play(ctx, proxy.URL(), server)
	return s.report(), err
}

// play runs the workers and restarts the server meanwhile, and waits for all of them.
func (s *show) play(ctx context.Context, url string, server *running) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, s.config.Duration)
	defer cancel()
	client := s.session.Client()
	var workers sync.WaitGroup
	for range s.config.Workers {
		workers.Go(func() { s.work(ctx, client, url) })
	}
	if s.config.Progress != nil {
		workers.Go(func() { s.tell(ctx, began) })
	}
	server, err := s.restartNowAndThen(ctx, server)
	if err != nil {
		cancel()
	}
	workers.Wait()
	if server != nil {
		err = errors.Join(err, server.stop())
	}
	return err
}

// work makes one call after another until ctx ends.
func (s *show) work(ctx context.Context, client *http.Client, url string) {
	for n := 0; ctx.Err() == nil; n++ {
		s.call(ctx, client, fmt.Sprintf("%s/api/hello?n=%d", url, n))
		wait(ctx, rand.N(2*workerPause))
	}
}

// call makes one call, and repeats it until it succeeds or patience runs out. The end
// of ctx does not interrupt a call.
func (s *show) call(ctx context.Context, client *http.Client, url string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for ; ; s.retries.Add(1) {
		err := get(ctx, client, url)
		var ended *tandem.EndedError
		switch {
		case err == nil:
			s.requests.Add(1)
			return
		case ctx.Err() != nil || errors.As(err, &ended):
			s.failed.Add(1)
			return
		}
		pause := 50 * time.Millisecond
		if temporary, ok := errors.AsType[*tandem.TemporaryError](err); ok {
			pause = max(pause, time.Until(temporary.RetryAt))
		}
		wait(ctx, pause)
	}
}

func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	return nil
}

// fault decides what the network does to a request.
func (s *show) fault(r *http.Request) faultproxy.Fault {
	chance := rand.Float64()
	switch {
	case r.URL.Path == "/auth/refresh-token" && chance < refreshDropRate:
		s.dropped.Add(1)
		return faultproxy.DropReply
	case r.URL.Path == "/auth/refresh-token" && chance < refreshDropRate+refreshBusyRate:
		s.unavailable.Add(1)
		return faultproxy.Unavailable
	case r.URL.Path == "/api/hello" && chance < replyDropRate:
		s.dropped.Add(1)
		return faultproxy.DropReply
	case r.URL.Path == "/api/hello" && chance < replyDropRate+replyRefuseRate:
		s.refused.Add(1)
		return faultproxy.Unauthorized
	}
	return faultproxy.None
}

// A running server, and the function that stops it.
type running struct {
	daemon *daemon.Daemon
	cancel context.CancelFunc
	done   chan error
}

func (s *show) start(ctx context.Context) (*running, error) {
	d, err := tryit.Open(context.WithoutCancel(ctx), tryit.Config{
		DataDir:   s.dir,
		Listen:    s.address,
		AccessTTL: s.config.AccessTTL,
		Logger:    slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &running{daemon: d, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- d.Serve(serving) }()
	return r, nil
}

func (r *running) stop() error {
	r.cancel()
	return <-r.done
}

// restartNowAndThen restarts the server at regular intervals until ctx ends, and
// returns the last server.
func (s *show) restartNowAndThen(ctx context.Context, server *running) (*running, error) {
	every := s.config.Duration / time.Duration(s.config.Restarts+1)
	for range s.config.Restarts {
		if !wait(ctx, every) {
			return server, nil
		}
		next, err := s.restart(ctx, server)
		if err != nil {
			return nil, err
		}
		server = next
	}
	<-ctx.Done()
	return server, nil
}

func (s *show) restart(ctx context.Context, server *running) (*running, error) {
	if err := server.stop(); err != nil {
		return nil, err
	}
	s.restarts.Add(1)
	return s.start(ctx)
}

// tell reports progress until ctx ends.
func (s *show) tell(ctx context.Context, began time.Time) {
	ticks := time.NewTicker(100 * time.Millisecond)
	defer ticks.Stop()
	for {
		select {
		case <-ticks.C:
			s.config.Progress(time.Since(began), s.report())
		case <-ctx.Done():
			return
		}
	}
}

func (s *show) report() Report {
	stats := s.session.Stats()
	return Report{
		Requests:       s.requests.Load(),
		Retries:        s.retries.Load(),
		Expiries:       stats.Expiries,
		Refreshes:      stats.Refreshes,
		Replays:        stats.Replays,
		Failed:         s.failed.Load(),
		Logouts:        stats.Ends,
		RepliesDropped: s.dropped.Load(),
		Unavailable:    s.unavailable.Load(),
		Refused:        s.refused.Load(),
		Restarts:       s.restarts.Load(),
	}
}

// wait waits for d, and reports whether d passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
