package server

import (
	"context"
	"time"
)

const sweepEvery = time.Hour

// sweep deletes sessions that ended long ago, every hour until the context ends. The
// first sweep is an hour after the start, because the machine may have started with a
// wrong clock.
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

// sweepOnce deletes sessions whose end is more than RefreshTTL ago. It keeps the others,
// so that the server can tell a client that presents a refresh token what ended its
// session.
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
