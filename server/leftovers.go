package server

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// The server tries leftovers again after leftoverPause, for at most leftoverTime. If
// maxLeftovers are already waiting, it does not try again; the caller has received an
// error in any case.
const (
	leftoverPause = time.Second
	leftoverTime  = 10 * time.Minute
	maxLeftovers  = 1000
	// leftoversAtOnce is how many sessions the server ends concurrently. A store may
	// take up to a second to make each end durable.
	leftoversAtOnce = 256
)

// A leftover stands for sessions that the server failed to end: one session, or all
// sessions of a user that began no later than at.
type leftover struct {
	session rotation.SessionID // zero for all sessions of the subject
	subject string
	reason  rotation.EndReason
	at      time.Time
	until   time.Time // when to give up
}

// leftovers wait for the goroutine that runs endLeftovers.
type leftovers struct{ queue chan leftover }

func newLeftovers() leftovers { return leftovers{queue: make(chan leftover, maxLeftovers)} }

func (l leftovers) add(one leftover) {
	one.until = time.Now().Add(leftoverTime)
	select {
	case l.queue <- one:
	default:
	}
}

// endLeftovers ends the sessions of leftovers, one leftover after the other, until ctx
// ends.
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

// endLeftover tries once to end the sessions of a leftover. If that fails, it waits for a
// pause and puts the leftover at the end of the queue.
func (s *Server) endLeftover(ctx context.Context, one leftover) {
	n, err := s.endBegunBy(ctx, one)
	log := func(level slog.Level, text string) {
		s.cfg.Logger.LogAttrs(ctx, level, text, one.attr(), slog.Int("sessions", n), slog.Any("error", err))
	}
	switch {
	case err == nil:
		log(slog.LevelInfo, "ended sessions that an earlier attempt had failed to end")
		return
	case ctx.Err() != nil:
		return
	case time.Now().After(one.until):
		log(slog.LevelError, "cannot end sessions; giving up: they go on")
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(leftoverPause):
		select {
		case s.leftovers.queue <- one:
		default:
			log(slog.LevelError, "cannot end sessions; giving up: they go on")
		}
	}
}

// attr names the leftover in the log.
func (l leftover) attr() slog.Attr {
	if l.session != (rotation.SessionID{}) {
		return slog.String("session", l.session.String())
	}
	return slog.String("subject", l.subject)
}

// endBegunBy ends the session of a leftover, or the sessions of a user that began no later
// than one.at, each with a call of its own.
func (s *Server) endBegunBy(ctx context.Context, one leftover) (n int, _ error) {
	end := store.End{Reason: one.reason, At: one.at}
	if one.session != (rotation.SessionID{}) {
		_, err := s.cfg.Store.End(ctx, one.session, end)
		return 1, err
	}
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
			_, err := s.cfg.Store.End(ctx, id, end)
			return err
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

// inGroups calls do for all items, n concurrently. After a group with an error it stops
// and returns the first error of that group.
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
