package server

import (
	"context"
	"time"
)

const sweepEvery = time.Hour

// sweep removes sessions that are over, now and every hour, until the context
// ends.
func (s *Server) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		s.sweepOnce(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweepOnce keeps sessions for RefreshTTL after their end, so that whoever holds
// a refresh token of one is told what ended it.
func (s *Server) sweepOnce(ctx context.Context) {
	before := s.now().Add(-s.cfg.RefreshTTL)
	for ctx.Err() == nil {
		n, err := s.cfg.Store.Sweep(ctx, before)
		if err != nil && ctx.Err() == nil {
			s.cfg.Logger.WarnContext(ctx, "cannot sweep the store; trying again in an hour", "error", err)
		}
		if err != nil || n == 0 {
			return
		}
	}
}
