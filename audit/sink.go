package audit

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/store"
)

// Bounds on the time between two tries.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = time.Minute
	takeLimit  = 15 * time.Second // for one try
)

// A sink takes records in order. What it does not take now, it is given again, after pauses
// that grow.
type sink struct {
	name   string
	batch  int
	take   func(ctx context.Context, records []store.AuditRecord) error
	close  func() error // may be nil
	logger *slog.Logger

	mu       sync.Mutex
	waiting  []store.AuditRecord
	dropped  int
	wake     chan struct{} // holds one token: there is something to do
	empty    chan struct{} // closed when nothing waits and finishing is set
	finishes bool
}

func newSink(name string, logger *slog.Logger, take func(context.Context, []store.AuditRecord) error) *sink {
	return &sink{name: name, batch: batch, take: take, logger: logger, wake: make(chan struct{}, 1), empty: make(chan struct{})}
}

// add queues a record. If there is no room, the oldest is dropped: it has waited for so long
// that the sink has failed for long.
func (s *sink) add(r store.AuditRecord) {
	s.mu.Lock()
	first := false
	if len(s.waiting) >= maxPending {
		s.waiting = s.waiting[1:]
		s.dropped++
		first = s.dropped == 1
	}
	s.waiting = append(s.waiting, r)
	s.mu.Unlock()
	if first {
		s.logger.Error("the audit log drops records, because it cannot pass them on", "to", s.name)
	}
	s.signal()
}

func (s *sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// next returns the oldest records, which stay in the queue until they are taken.
func (s *sink) next() []store.AuditRecord {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) == 0 && s.finishes {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
	return append([]store.AuditRecord(nil), s.waiting[:min(len(s.waiting), s.batch)]...)
}

// took removes records from the queue. Some may have been dropped from it meanwhile.
func (s *sink) took(records []store.AuditRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := records[len(records)-1].ID
	for i := range min(len(records), len(s.waiting)) {
		if s.waiting[i].ID == last {
			s.waiting = s.waiting[i+1:]
			return
		}
	}
}

// run passes records on until the context ends.
func (s *sink) run(ctx context.Context) {
	pause, failing := firstRetry, false
	for {
		records := s.next()
		if len(records) == 0 {
			select {
			case <-s.wake:
			case <-ctx.Done():
				return
			}
			continue
		}
		try, cancel := context.WithTimeout(ctx, takeLimit)
		err := s.take(try, records)
		cancel()
		if err == nil {
			s.took(records)
			if failing {
				s.logger.InfoContext(ctx, "the audit log passes records on again", "to", s.name)
			}
			pause, failing = firstRetry, false
			continue
		}
		if ctx.Err() != nil {
			return
		}
		if !failing {
			s.logger.ErrorContext(ctx, "the audit log cannot pass records on; it keeps them and tries again", "to", s.name, "error", err)
		}
		failing = true
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
		pause = min(2*pause, lastRetry)
	}
}

// finish waits until nothing waits, or the context ends.
func (s *sink) finish(ctx context.Context) {
	s.mu.Lock()
	s.finishes = true
	s.mu.Unlock()
	s.signal()
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
}
