package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/zalando/go-keyring"
)

// A state is what is known of the keyring.
type state int

const (
	unknown   state = iota // nothing
	absent                 // nobody would answer
	silent                 // somebody ought to answer and does not
	locked                 // it answers, and has to be unlocked
	answering              // it answers
)

// limits bound what a call waits for.
type limits struct {
	answer time.Duration // how long the keyring may leave a question without an answer
	prompt time.Duration // how long a call may take in all: its owner may be asked for a password
}

// bound returns a context that ends with the caller's, once the keyring stops to answer,
// or after the time for a prompt; its cause says which. Call stop in the end: it waits
// for the goroutine that watches the keyring.
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

// watch asks the keyring again and again whether it is there, for as long as a call
// takes, and ends the call if it is not.
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

// within calls do, in any case, and returns once ctx ends: do goes on by itself then, in
// a goroutine that ends when the keyring answers or goes away.
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

// guarded calls the library, which follows a nil pointer if the bus goes away while a
// prompt is on the screen.
func guarded(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errors.New("the keyring went away")
		}
	}()
	return call()
}

// explain wraps which of [ErrUnavailable], [ErrLocked] and [ErrNotAnswering] is the
// reason for what the library said, if one is. Where nobody can be asked, otherwise is
// taken for the reason, if it is not nil.
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

// interactionNotAllowed is how the program "security" of macOS ends if the Keychain is
// locked and it may ask nobody, as over SSH: errSecInteractionNotAllowed, in one byte.
const interactionNotAllowed = 36
