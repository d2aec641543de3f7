package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tandem-auth/tandem"
)

// A warning is what a command says besides its result, as --json prints it.
type warning struct {
	Code    string `json:"warning"`
	Message string `json:"message"`
}

// warn says on standard error what is no reason to fail.
func (c console) warn(code, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	if c.json {
		_ = printJSON(c.err, warning{code, message})
		return
	}
	fmt.Fprintln(c.err, "tandem:", message)
}

// A witness sees what happens to a session while a command uses it, and says what its
// user should know.
type witness struct {
	console console
	waits   sync.Once

	mu          sync.Mutex
	storeFailed error // the latest failure of the store
}

// observe is for [tandem.Config].
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

// close closes the session, and says what its store has failed to do. Tokens that were
// not kept have served the command: that is no reason for it to fail.
func (s *signedIn) close() {
	live := s.Status().SignedIn
	if err := s.Close(); err != nil {
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // in which the store says as much
		}
		s.console.warn("not_kept", notKept, err)
		return
	}
	if err := s.failed(); err != nil && !live {
		s.console.warn("not_removed", "the session has ended, but could not be removed here: %v", err)
	}
}
