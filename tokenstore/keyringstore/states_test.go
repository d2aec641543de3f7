//go:build linux

package keyringstore_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/keyringtest"
	"github.com/tandem-auth/tandem/tokenstore/keyringstore"
)

// impatience is how long a test's keyring may take to answer.
const impatience = 500 * time.Millisecond

// The errors tell the user what to do: without a keyring, keep the session in a file;
// unlock a locked keyring; try again if the keyring does not answer.
func TestWhatIsWrongWithTheKeyring(t *testing.T) {
	for name, c := range map[string]struct {
		start  func(t *testing.T)
		want   error
		prompt time.Duration
	}{
		"there is no bus": {func(t *testing.T) {
			t.Helper()
			t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
		}, keyringstore.ErrUnavailable, time.Hour},
		"nobody on the bus has one":         {keyringtest.Empty, keyringstore.ErrUnavailable, time.Hour},
		"the bus accepts and never answers": {silentBus, keyringstore.ErrNotAnswering, time.Hour},
		"it accepts and never answers":      {keyringtest.Silent, keyringstore.ErrNotAnswering, time.Hour},
		"it is locked, and no prompt can appear": {func(t *testing.T) {
			t.Helper()
			keyringtest.Start(t)
			keyringtest.LockKeyring(t)
		}, keyringstore.ErrLocked, time.Hour},
		"it is locked, and nobody answers its prompt": {func(t *testing.T) {
			t.Helper()
			keyringtest.Prompting(t)
		}, keyringstore.ErrLocked, 4 * impatience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("HOME", t.TempDir())
			c.start(t)
			_, err := keyringstore.OpenWithin(service, "ann", impatience, c.prompt)
			for _, kind := range []error{keyringstore.ErrUnavailable, keyringstore.ErrLocked, keyringstore.ErrNotAnswering} {
				if errors.Is(err, kind) != errors.Is(kind, c.want) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
		})
	}
}

// silentBus starts a bus that accepts connections and sends nothing.
func silentBus(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var accepted []net.Conn
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted = append(accepted, conn)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
		for _, conn := range accepted {
			_ = conn.Close()
		}
	})
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+path)
}

// While a user looks for a password, the call waits, because the keyring answers that
// it is there. If the bus goes away meanwhile, the call returns an error, and the
// program goes on.
func TestAPromptThatIsNotAnswered(t *testing.T) {
	bus := keyringtest.Prompting(t)
	opened := make(chan error, 1)
	go func() {
		_, err := keyringstore.OpenWithin(service, "ann", 4*impatience, time.Minute)
		opened <- err
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 6*impatience) // it has asked once whether the keyring is there
	defer cancel()
	select {
	case err := <-opened:
		t.Fatalf("it did not wait for the prompt: %v", err)
	case <-ctx.Done():
	}
	if err := bus.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; !errors.Is(err, keyringstore.ErrUnavailable) {
		t.Errorf("after the bus went away: %v, want ErrUnavailable", err)
	}
}
