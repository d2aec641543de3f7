package tandem_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// errRefused is what another protocol says of an access token that is no good.
var errRefused = errors.New("unauthenticated")

// call makes a call that is no HTTP request; the server is asked about the token.
func (w *world) call(ctx context.Context, s *tandem.Session) (calls int, err error) {
	err = s.Call(ctx, "rpc://orders", func(_ context.Context, token string) (bool, error) {
		calls++
		if !w.accepts("Bearer " + token) {
			return true, errRefused
		}
		return false, nil
	})
	return calls, err
}

// What is no HTTP request is refreshed for and tried again just the same.
func TestCallsOfAnotherProtocol(t *testing.T) {
	inWorld(t, func(w *world) {
		w.endToken()
		var calls sync.WaitGroup
		for range 100 {
			calls.Go(func() {
				if _, err := w.call(w.Context(), w.session); err != nil {
					w.Errorf("a call came out as %v", err)
				}
			})
		}
		calls.Wait()
		w.expectServed(testserver.Refresh, 1)
		if n, err := w.call(w.Context(), w.session); n != 1 || err != nil {
			w.Errorf("then %d calls and %v, want one", n, err)
		}
		if stats := w.session.Stats(); stats.Requests != 101 || stats.Replays == 0 {
			w.Errorf("counted %+v", stats)
		}
	})
}

// One that is refused even with a fresh token is refused: no loop, and no refresh for
// each.
func TestCallsThatAreRefusedAnyway(t *testing.T) {
	inWorld(t, func(w *world) {
		for range 5 {
			err := w.session.Call(w.Context(), "rpc://orders", func(context.Context, string) (bool, error) { return true, errRefused })
			if !errors.Is(err, errRefused) {
				w.Errorf("got %v", err)
			}
		}
		w.expectServed(testserver.Refresh, 1)
		if _, err := w.call(w.Context(), w.session); err != nil {
			w.Errorf("an API that refuses nothing: %v", err)
		}
	})
}

// A call ends with its context, with the session, and is never made as another user.
func TestCallsThatCannotBeMade(t *testing.T) {
	inWorld(t, func(w *world) {
		err := w.session.Call(w.Context(), "rpc://orders", func(ctx context.Context, _ string) (bool, error) {
			if err := w.session.SignIn(ctx, "bob", "bbo"); err != nil {
				w.Error(err)
			}
			return true, errRefused
		})
		if !errors.Is(err, tandem.ErrUserChanged) {
			w.Errorf("bob signed in meanwhile: %v", err)
		}

		w.expire()
		ctx, cancel := context.WithCancel(w.Context())
		cancel()
		if n, err := w.call(ctx, w.session); n != 0 || !errors.Is(err, context.Canceled) {
			w.Errorf("a call that was given up: %d calls, %v", n, err)
		}

		w.endAtServer()
		if err := w.session.SignOut(w.Context()); err != nil && !strings.Contains(err.Error(), "400") {
			w.Error(err)
		}
		var ended *tandem.EndedError
		if n, err := w.call(w.Context(), w.session); n != 0 || !errors.As(err, &ended) {
			w.Errorf("signed out: %d calls, %v", n, err)
		}
	})
}
