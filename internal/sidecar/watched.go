package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem"
)

// reloadTimeout is how long a request waits for the session's store: a keyring may hang.
const reloadTimeout = time.Second

// A watched reloads the session before every request: a user who signs out or in on the
// command line expects that of the proxy, too.
type watched struct {
	reload func(ctx context.Context) error
	logger *slog.Logger

	mu   sync.Mutex
	said string // the problem that was logged last; "" after a reload without one
}

// takeUp reloads the session, so that the proxy follows what the user did on the command
// line. The error is nil or a *tandem.OtherServerError: then the proxy must not use even
// the access token that it has, because the user has signed in at another server.
func (s *watched) takeUp(ctx context.Context) error {
	within, cancel := context.WithTimeout(ctx, reloadTimeout)
	defer cancel()
	err := s.reload(within)
	if ctx.Err() == nil {
		s.log(ctx, err)
	}
	if other, ok := errors.AsType[*tandem.OtherServerError](err); ok {
		return other
	}
	return nil
}

// log logs a problem when it first appears, and not again while it lasts.
func (s *watched) log(ctx context.Context, err error) {
	var problem string
	if err != nil {
		problem = err.Error()
	}
	s.mu.Lock()
	news := problem != s.said
	s.said = problem
	s.mu.Unlock()
	other, ok := errors.AsType[*tandem.OtherServerError](err)
	switch {
	case err == nil || !news:
	case ok:
		s.logger.ErrorContext(ctx, "requests are refused: somebody has signed in at another server in this profile", "server", other.Have, "proxy_for", other.Want)
	default:
		s.logger.WarnContext(ctx, "the session may not be up to date", "error", err)
	}
}
