package tandem_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/faultystore"
)

func TestALockThatCannotBeTaken(t *testing.T) {
	inWorld(t, func(w *world) {
		store := faultystore.New(w.store).Locking(w.store)
		store.Hook(faultystore.Hooks{Lock: func(context.Context, func() (func(), error)) (func(), error) {
			return nil, errors.New("open session.lock: read-only file system")
		}})
		s := w.open(store)
		for range 5 {
			w.expire()
			if _, err := w.hello(s); err != nil {
				t.Error(err)
			}
		}
	})
}

// A process that hangs with the lock held stops the others for a while, and not for
// ever: Tandem's own server forgives a refresh without it.
func TestALockThatIsNeverLetGo(t *testing.T) {
	inWorld(t, func(w *world) {
		if _, err := w.store.Lock(context.Background()); err != nil {
			t.Fatal(err)
		}
		w.expire()
		for range 3 {
			began := time.Now()
			_, err := w.session.Token(context.Background())
			t.Logf("after %s: %v", time.Since(began), err)
			time.Sleep(31 * time.Second)
			if err == nil {
				return
			}
		}
		t.Error("as long as one process hangs, none refreshes")
	})
}
