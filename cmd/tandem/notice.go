package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/visible"
)

// A warning is a message of a command besides its result, as --json prints it.
type warning struct {
	Code    string `json:"warning"`
	Message string `json:"message"`
}

// warn prints on standard error a message about something that does not fail the command.
func (c console) warn(code, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if c.json {
		_ = printJSON(c.err, warning{code, message})
		return
	}
	fmt.Fprintln(c.err, "tandem:", visible.Lines(message))
}

// A witness observes the session that a command uses, and warns the command's user.
type witness struct {
	console console
	waits   sync.Once

	mu          sync.Mutex
	storeFailed error // the latest failure of the store
}

// observe is the Observe of [tandem.Config].
func (w *witness) observe(_ context.Context, e tandem.Event) {
	switch e.Kind {
	case tandem.EventLockWait:
		w.waits.Do(func() {
			w.console.warn("waiting", "waiting for another process, which has locked the session of this profile")
		})
	case tandem.EventStoreFailed:
		w.mu.Lock()
		defer w.mu.Unlock()
		w.storeFailed = e.Err
	}
}

// failed returns the latest failure of the store.
func (w *witness) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.storeFailed
}

const notKept = "the new tokens could not be kept here, so the next command has to fetch others: %v"

// close closes the session, and warns if the store could not keep or remove tokens. The
// command does not fail for that: it has its result.
func (s *signedIn) close() {
	live := s.Status().SignedIn
	if err := s.Close(); err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // the warning already says what the outer error says
		}
		s.console.warn("not_kept", notKept, err)
		return
	}
	if err := s.failed(); err != nil && !live {
		s.console.warn("not_removed", "the session has ended, but could not be removed here: %v", err)
	}
}
