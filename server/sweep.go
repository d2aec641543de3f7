package server

import (
	"context"
	"time"
)

const sweepEvery = time.Hour

// sweep removes sessions that are over, every hour until the context ends. Not at
// once: a machine that comes up with a wrong clock gets some time to put it right.
func (s *Server) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			s.sweepOnce(ctx)
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
