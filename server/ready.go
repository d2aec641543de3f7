package server

import (
	"context"
	"errors"
	"net/http"
	"time"
)

const (
	pingTimeout = 2 * time.Second
	// pingEvery is how long the server reuses an answer of the store, so that it pings
	// the store no more often, however many requests ask.
	pingEvery = time.Second
)

// readiness pings the store on behalf of all requests that ask whether the server is
// ready.
type readiness struct {
	ping func(context.Context) error

	turn  chan struct{} // holds one token: the goroutine that put it in may use the fields below
	asked time.Time     // when the store answered last
	err   error         // what it answered
}

func newReadiness(ping func(context.Context) error) *readiness {
	return &readiness{ping: ping, turn: make(chan struct{}, 1)}
}

// check returns the store's answer of the last second, or pings the store. It does not
// abort a ping when the client disconnects, because the next request would have to start
// another one.
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

// Ready returns nil if the server can handle requests, or why it cannot: it is about to stop,
// or the store does not answer. It asks the store at most once a second.
func (s *Server) Ready(ctx context.Context) error {
	if s.draining.Load() {
		return errDraining
	}
	return s.readiness.check(ctx)
}

var errDraining = errors.New("the server is shutting down")

// ready answers whether the server can handle requests.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	err := s.Ready(r.Context())
	if errors.Is(err, errDraining) {
		return &problem{
			status:      http.StatusServiceUnavailable,
			Code:        codeUnavailable,
			Description: err.Error(),
			retryAfter:  time.Second,
		}
	}
	if err != nil {
		return unavailable("ping the store", err)
	}
	s.respond(w, r, http.StatusOK, status{"ok"})
	return nil
}
