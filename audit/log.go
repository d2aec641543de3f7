package audit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/store"
)

// Defaults of [Config].
const (
	DefaultKeep = 90 * 24 * time.Hour
)

// A Config says where a [Log] passes records on to. All fields are optional.
type Config struct {
	// Store keeps the records for Keep. Keep defaults to [DefaultKeep].
	Store Store
	Keep  time.Duration
	// File gets each record as one line of JSON. The log opens it for appending, and again
	// when it was renamed or removed, as logrotate does.
	File string
	// Webhook gets each record by POST; see [Webhook].
	Webhook Webhook
	// Logger receives what goes wrong. Defaults to none.
	Logger *slog.Logger
}

// Bounds of a log.
const (
	// maxPending is how many records wait for one sink.
	maxPending = 20_000
	// batch is how many records a sink gets at once.
	batch = 200
	// together is for how long equal records of what a client can repeat at will count as
	// one; see isRepeatable.
	together = 10 * time.Second
	// maxTogether bounds how many such records are remembered.
	maxTogether = 10_000
	// closeTimeout bounds how long Close waits for the sinks.
	closeTimeout = 5 * time.Second
	sweepEvery   = time.Hour
)

// A Log passes records on. It is safe for concurrent use.
type Log struct {
	config Config
	sinks  []*sink

	mu     sync.Mutex
	closed bool
	last   map[store.AuditRecord]time.Time // equal records, without IDs and times

	stop    context.CancelFunc
	stopped sync.WaitGroup
}

// Open opens the file, if there is one, and starts the log. The caller closes it. The error
// names the file or what is wrong with the webhook.
func Open(config Config) (*Log, error) {
	if config.Keep == 0 {
		config.Keep = DefaultKeep
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	l := &Log{config: config, last: map[store.AuditRecord]time.Time{}}
	if config.Store != nil {
		l.sinks = append(l.sinks, newSink("store", config.Logger, config.Store.AppendAudit))
	}
	if config.File != "" {
		f, err := openFile(config.File)
		if err != nil {
			return nil, fmt.Errorf("the audit file: %w", err)
		}
		s := newSink("file", config.Logger, f.append)
		s.close = f.close
		l.sinks = append(l.sinks, s)
	}
	if config.Webhook.URL != "" {
		if err := config.Webhook.Check(); err != nil {
			return nil, fmt.Errorf("the audit webhook: %w", err)
		}
		if config.Webhook.Client == nil {
			config.Webhook.Client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error {
				return http.ErrUseLastResponse // following would turn the POST into a GET
			}}
		}
		s := newSink("webhook", config.Logger, config.Webhook.post)
		s.batch = 1
		l.sinks = append(l.sinks, s)
	}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, s := range l.sinks {
		l.stopped.Go(func() { s.run(ctx) })
	}
	if config.Store != nil {
		l.stopped.Go(func() { l.sweep(ctx) })
	}
	return l, nil
}

// Add passes a record on. It does not wait. After Close it does nothing.
func (l *Log) Add(r store.AuditRecord) {
	if !l.isNew(r) {
		return
	}
	for _, s := range l.sinks {
		s.add(r)
	}
}

// isRepeatable reports whether one client can make thousands of such records: by sign-ins that
// are limited or refused, by calls of the API for administrators that are refused, and with
// one refresh token, again and again.
func isRepeatable(r store.AuditRecord) bool {
	switch r.Action {
	case SignIn, AdminRefused:
		return r.Outcome == Limited || r.Outcome == Refused
	case RefreshRetry, RefreshStale:
		return true
	}
	return false
}

// isNew reports whether to pass a record on: not after Close, and not if an equal one that is
// repeatable came a moment ago.
func (l *Log) isNew(r store.AuditRecord) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	if !isRepeatable(r) {
		return true
	}
	key := r
	key.ID, key.Time, key.RequestID = "", time.Time{}, ""
	if at, known := l.last[key]; known && r.Time.Sub(at) < together {
		return false
	}
	if len(l.last) >= maxTogether {
		clear(l.last)
	}
	l.last[key] = r.Time
	return true
}

// A Pending is how many records wait for a sink, and how many were dropped for want of room.
type Pending struct {
	Sink             string // "store", "file" or "webhook"
	Waiting, Dropped int
}

// Pending returns the state of each sink.
func (l *Log) Pending() []Pending {
	var all []Pending
	for _, s := range l.sinks {
		s.mu.Lock()
		all = append(all, Pending{s.name, len(s.waiting), s.dropped})
		s.mu.Unlock()
	}
	return all
}

// sweep deletes old records from the store until the context ends.
func (l *Log) sweep(ctx context.Context) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			n, err := l.config.Store.SweepAudit(ctx, time.Now().Add(-l.config.Keep))
			if err != nil && ctx.Err() == nil {
				l.config.Logger.WarnContext(ctx, "cannot sweep the audit log", "error", err)
			}
			if err != nil || n == 0 {
				break
			}
		}
	}
}

// Close passes on the records that wait, for at most five seconds, and stops the log. It may
// be called twice. The error says how many records were not passed on.
func (l *Log) Close() error {
	l.mu.Lock()
	before := l.closed
	l.closed = true
	l.mu.Unlock()
	if before {
		l.stopped.Wait()
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	for _, s := range l.sinks {
		s.finish(ctx)
	}
	l.stop()
	l.stopped.Wait()
	var errs []error
	for _, p := range l.Pending() {
		if p.Waiting > 0 {
			errs = append(errs, fmt.Errorf("%d records of the audit log did not reach the %s", p.Waiting, p.Sink))
		}
	}
	for _, s := range l.sinks {
		if s.close != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}
