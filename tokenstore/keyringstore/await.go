package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/zalando/go-keyring"
)

// A state is what the store knows about the keyring.
type state int

const (
	unknown   state = iota // nothing
	absent                 // no keyring would answer
	silent                 // a keyring exists and does not answer
	locked                 // the keyring answers, and is locked
	answering              // the keyring answers
)

// limits bound what a call waits for.
type limits struct {
	answer time.Duration // how long the keyring may take to answer
	prompt time.Duration // how long a call may take in total, with a password prompt
}

// usualLimits are those of every store.
var usualLimits = limits{answer: 5 * time.Second, prompt: 2 * time.Minute}

// bound returns a context that ends with the caller's context, when the keyring stops
// answering, or after the time for a prompt; its cause tells which. The caller must
// call stop, which waits for the goroutine that watches the keyring.
func (s *Store) bound(ctx context.Context) (bounded context.Context, stop func()) {
	bounded, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.watch(bounded, cancel)
	}()
	return bounded, func() {
		cancel(context.Canceled)
		<-done
	}
}

// watch asks the keyring repeatedly whether it is there while a call runs, and ends the
// call if it is not.
func (s *Store) watch(ctx context.Context, giveUp context.CancelCauseFunc) {
	tick := time.NewTicker(s.limits.answer)
	defer tick.Stop()
	over := time.NewTimer(s.limits.prompt)
	defer over.Stop()
	last := unknown
	for {
		select {
		case <-ctx.Done():
			return
		case <-over.C:
			if last == locked || last == answering {
				giveUp(fmt.Errorf("%w (nobody answered its prompt within %v)", ErrLocked, s.limits.prompt))
			} else {
				giveUp(fmt.Errorf("%w (within %v)", ErrNotAnswering, s.limits.prompt))
			}
			return
		case <-tick.C:
			asking, cancel := context.WithTimeout(ctx, s.limits.answer)
			last = ask(asking)
			cancel()
			switch {
			case ctx.Err() != nil:
				return
			case last == silent:
				giveUp(fmt.Errorf("%w (within %v)", ErrNotAnswering, 2*s.limits.answer))
				return
			case last == absent:
				giveUp(fmt.Errorf("%w (it went away)", ErrUnavailable))
				return
			}
		}
	}
}

// within calls do in a goroutine, and returns when do does or when ctx ends. In the
// latter case the goroutine goes on until the keyring answers or goes away.
func within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := do()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// guarded calls the library and recovers from its panic: it dereferences a nil pointer
// if the bus goes away while a prompt is open.
func guarded(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the keyring went away")
		}
	}()
	return call()
}

// explain adds [ErrUnavailable], [ErrLocked] or [ErrNotAnswering] to the library's
// error if the state of the keyring is the reason. If the store cannot ask for the
// state, explain uses otherwise as the reason, unless otherwise is nil.
func (s *Store) explain(ctx context.Context, err, otherwise error) error {
	asking, cancel := context.WithTimeout(ctx, s.limits.answer)
	defer cancel()
	var ended *exec.ExitError
	reason := otherwise
	switch state := ask(asking); {
	case state == absent, errors.Is(err, keyring.ErrUnsupportedPlatform):
		reason = ErrUnavailable
	case state == locked, errors.As(err, &ended) && ended.ExitCode() == interactionNotAllowed:
		reason = ErrLocked
	case state == silent && ctx.Err() == nil:
		reason = ErrNotAnswering
	case state == answering:
		reason = nil
	}
	if reason == nil {
		return err
	}
	return fmt.Errorf("%w (%w)", reason, err)
}

// interactionNotAllowed is the exit status of macOS's program "security" if the
// Keychain is locked and the program may not prompt, as over SSH:
// errSecInteractionNotAllowed, truncated to one byte.
const interactionNotAllowed = 36
