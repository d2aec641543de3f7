package sidecar

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/tandem-auth/tandem"
)

// reloadTimeout is how long a request waits for the session's store, which may be a
// keyring that hangs.
const reloadTimeout = time.Second

// A watched session is looked at before every request: whoever has signed out or in on
// the command line means this program, too.
type watched struct {
	reload func(ctx context.Context) error
	logger *slog.Logger

	mu   sync.Mutex
	said string // the problem that was logged, until there is another or none
}

// takeUp takes up what was done on the command line. The error is nil or a
// *tandem.OtherServerError: not even the access token in hand is used then, for whoever
// has signed in elsewhere has left this server.
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

// log logs a problem once, however many requests meet it.
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
