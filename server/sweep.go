package server

import (
	"context"
	"time"
)

const sweepEvery = time.Hour

// sweep deletes sessions that ended long ago or that nobody uses any more, and keys of a
// [OnceStore] whose time is over, every hour until the context ends. The first sweep is an
// hour after the start, because the machine may have started with a wrong clock.
func (s *Server) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.sweepSessions(ctx)
			s.sweepKeys(ctx)
		}
	}
}

// sweepSessions deletes sessions whose end is more than RefreshTTL ago, and sessions that
// have been idle until all of their tokens had expired. It keeps the others, so that the
// server can tell a client that presents a refresh token what ended its session.
func (s *Server) sweepSessions(ctx context.Context) {
	now := s.now()
	idle := s.idleSince(now)
	s.sweepWith(ctx, func(ctx context.Context, over time.Time) (int, error) {
		return s.cfg.Store.Sweep(ctx, over, idle)
	}, now.Add(-s.cfg.RefreshTTL))
}

// sweepKeys deletes keys whose time has been over for an hour.
func (s *Server) sweepKeys(ctx context.Context) {
	if s.once != nil {
		s.sweepWith(ctx, s.once.SweepOnce, s.now().Add(-sweepEvery))
	}
}

// sweepWith calls sweep until it deletes nothing more.
func (s *Server) sweepWith(ctx context.Context, sweep func(context.Context, time.Time) (int, error), before time.Time) {
	for ctx.Err() == nil {
		n, err := sweep(ctx, before)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "cannot sweep the store; trying again in an hour", "error", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}
