package tandem_test

import (
	"errors"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/testserver"
)

// Somebody at ann's own address guesses her password until the server lets nobody from
// there try any more. A device on which she has signed in before gets through; her new
// device has to wait. Another user of the device is limited like on any other.
func TestADeviceThatHasSignedInBeforeGetsThroughALimit(t *testing.T) {
	inWorld(t, func(w *world) {
		stranger := w.open(tandem.NewMemoryStore())
		var limited *tandem.TemporaryError
		for range 20 {
			if err := stranger.SignIn(w.Context(), "ann", "a guess"); errors.As(err, &limited) {
				break
			}
		}
		if limited == nil || limited.RetryAt.IsZero() {
			w.Fatalf("guessing is not limited: %v", limited)
		}
		if err := stranger.SignIn(w.Context(), "ann", "nna"); !errors.As(err, &limited) {
			w.Errorf("a new device: %v, want a TemporaryError", err)
		}
		first := w.kept()
		if err := w.session.SignIn(w.Context(), "ann", "nna"); err != nil {
			w.Fatalf("the device that has signed in before: %v", err)
		}
		if w.kept().SessionID == first.SessionID {
			w.Error("the store has the earlier session still")
		}
	})
}

// The token of the session that the store has is shown and not used: a sign-in that fails
// ends nothing, whoever's token it was.
func TestASignInThatFailsEndsNothing(t *testing.T) {
	for _, username := range []string{"ann", "bob"} {
		inWorld(t, func(w *world) {
			before := w.kept()
			if err := w.session.SignIn(w.Context(), username, "a guess"); !errors.Is(err, tandem.ErrInvalidCredentials) {
				w.Errorf("got %v, want ErrInvalidCredentials", err)
			}
			if w.kept() != before {
				w.Errorf("the store has %v, want %v", w.kept(), before)
			}
			w.expire()
			w.mustHello(w.session)
			w.expectServed(testserver.Refresh, 1)
			w.expectEnds()
		})
	}
}
