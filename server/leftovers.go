package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// What is left over is tried again after leftoverPause, for leftoverTime at most. The
// number of users is bounded: whose does not fit is told that the sessions go on anyway.
const (
	leftoverPause = time.Second
	leftoverTime  = 10 * time.Minute
	leftoverUsers = 1000
	// leftoversAtOnce is how many sessions are ended at the same time. A store may take
	// a second for each end, until that is on the disk.
	leftoversAtOnce = 256
)

// A leftover are the sessions of a user that were to end and did not all end in time:
// those that began until then.
type leftover struct {
	subject string
	reason  rotation.EndReason
	at      time.Time
	until   time.Time // when to give up
}

// leftovers wait for the one that ends them.
type leftovers struct{ queue chan leftover }

func newLeftovers() leftovers { return leftovers{queue: make(chan leftover, leftoverUsers)} }

func (l leftovers) add(one leftover) {
	one.until = time.Now().Add(leftoverTime)
	select {
	case l.queue <- one:
	default:
	}
}

// endLeftovers ends what was left over, one user after the other, until ctx ends.
func (s *Server) endLeftovers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case one := <-s.leftovers.queue:
			s.endLeftover(ctx, one)
		}
	}
}

// endLeftover tries once. What failed goes to the end of the queue, after a pause.
func (s *Server) endLeftover(ctx context.Context, one leftover) {
	n, err := s.endBegunBy(ctx, one)
	log := func(level slog.Level, text string) {
		s.cfg.Logger.LogAttrs(ctx, level, text, slog.String("subject", one.subject), slog.Int("sessions", n), slog.Any("error", err))
	}
	switch {
	case err == nil:
		log(slog.LevelInfo, "ended the sessions of a user that had not ended in time")
		return
	case ctx.Err() != nil:
		return
	case time.Now().After(one.until):
		log(slog.LevelError, "cannot end the sessions of a user; giving up: they go on")
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(leftoverPause):
		select {
		case s.leftovers.queue <- one:
		default:
			log(slog.LevelError, "cannot end the sessions of a user; giving up: they go on")
		}
	}
}

// endBegunBy ends the sessions of a user one by one. Those that began since then are
// not meant.
func (s *Server) endBegunBy(ctx context.Context, one leftover) (n int, _ error) {
	page := store.Page{Limit: pageOfSessions}
	for {
		sessions, err := s.cfg.Store.List(ctx, one.subject, page)
		if err != nil {
			return n, err
		}
		var due []rotation.SessionID
		for _, session := range sessions {
			if !session.CreatedAt.After(one.at) {
				due = append(due, session.ID)
			}
		}
		if err := inGroups(due, leftoversAtOnce, func(id rotation.SessionID) error {
			return s.cfg.Store.End(ctx, id, one.reason, one.at)
		}); err != nil {
			return n, err
		}
		n += len(due)
		if len(sessions) < page.Limit {
			return n, nil
		}
		page.After = sessions[len(sessions)-1].Place()
	}
}

// inGroups does something with all, n at a time, and returns the first error
// of the group that had one.
func inGroups[T any](all []T, n int, do func(T) error) error {
	for len(all) > 0 {
		group := all[:min(len(all), n)]
		all = all[len(group):]
		errs := make([]error, len(group))
		var done sync.WaitGroup
		for i, one := range group {
			done.Go(func() { errs[i] = do(one) })
		}
		done.Wait()
		for _, err := range errs {
			if err != nil {
				return err
			}
		}
	}
	return nil
}
