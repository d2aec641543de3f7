package server

import (
	"context"
	"net/http"
	"time"
)

const (
	pingTimeout = 2 * time.Second
	// pingEvery is how long an answer of the store is shared: however many ask,
	// the store is not asked more often.
	pingEvery = time.Second
)

// readiness asks the store whether it can be used, on behalf of all who want to
// know.
type readiness struct {
	ping func(context.Context) error

	turn  chan struct{} // holds one token: whoever has it may use what follows
	asked time.Time     // when the store answered last
	err   error         // what it answered
}

func newReadiness(ping func(context.Context) error) *readiness {
	return &readiness{ping: ping, turn: make(chan struct{}, 1)}
}

// check returns what the store has answered within the last second, or asks it.
// Whoever asks the store waits for its answer even if nobody waits for theirs: a ping
// that ends early would be one more for those who come next.
func (r *readiness) check(ctx context.Context) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	if !r.asked.IsZero() && time.Since(r.asked) < pingEvery {
		return r.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	r.err = r.ping(ctx)
	r.asked = time.Now()
	return r.err
}

// ready says whether it is any use to send requests here.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	if s.draining.Load() {
		return &problem{
			status:      http.StatusServiceUnavailable,
			Code:        codeUnavailable,
			Description: "the server is shutting down",
			retryAfter:  time.Second,
		}
	}
	if err := s.readiness.check(r.Context()); err != nil {
		return unavailable("ping the store", err)
	}
	s.respond(w, r, http.StatusOK, status{"ok"})
	return nil
}
