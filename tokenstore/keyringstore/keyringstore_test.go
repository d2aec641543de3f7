//go:build linux

package keyringstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/keyringtest"
	"github.com/tandem-auth/tandem/tokenstore/keyringstore"
	"github.com/tandem-auth/tandem/tokenstore/tokenstoretest"
)

const service = "tandem-test"

func open(t testing.TB, user string) *keyringstore.Store {
	t.Helper()
	s, err := keyringstore.Open(service, user)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestKeyring(t *testing.T) {
	t.Run("where there is none", func(t *testing.T) {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
		t.Setenv("HOME", t.TempDir())
		if _, err := keyringstore.Open(service, "ann"); !errors.Is(err, keyringstore.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	daemon := keyringtest.Start(t)

	users := 0
	tokenstoretest.Run(t, func(testing.TB) func() tandem.Store {
		users++
		user := fmt.Sprint("user ", users)
		return func() tandem.Store { return open(t, user) }
	})

	for text, want := range map[string]string{
		"geheim":                    "is damaged: delete it",
		`{"version":3,"pair":{}}`:   "was written by a newer version",
		`{"refreshToken":"geheim"}`: "is not a session",
	} {
		if err := keyring.Set(service, "bob", text); err != nil {
			t.Fatal(err)
		}
		_, err := keyringstore.Open(service, "bob")
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if _, err := keyringstore.Open("", "ann"); err == nil {
		t.Error("an entry without a service was opened")
	}
	callsThatAreGivenUp(t)
	forgettingWaitsItsTurn(t)
	aKeyringThatDoesNotAnswer(t, daemon)

	home, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	out, _ := exec.CommandContext(t.Context(), "grep", "-rl", "tandem_rt_", home+"/tandem").CombinedOutput()
	if len(out) > 0 {
		t.Errorf("there are tokens in files: %s", out)
	}
}

// Forget leaves an entry alone while another process changes it, and removes it after that.
func forgettingWaitsItsTurn(t *testing.T) {
	t.Helper()
	s := open(t, "eve")
	pair := tandem.Pair{SessionID: "1", AccessToken: "a", RefreshToken: "first"}
	if swapped, err := s.CompareAndSwap(t.Context(), tandem.Pair{}, pair); !swapped || err != nil {
		t.Fatal(swapped, err)
	}
	release, err := s.HoldSwap(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := keyringstore.ForgetWithin(service, "eve", impatience, impatience); err == nil {
		t.Error("forgotten during a swap")
	}
	if kept, err := s.Load(t.Context()); err != nil || kept.RefreshToken != "first" {
		t.Errorf("during a swap: %v, %v", kept, err)
	}
	release()
	if err := keyringstore.Forget(service, "eve"); err != nil {
		t.Error(err)
	}
	if kept, err := s.Load(t.Context()); err != nil || !kept.IsZero() {
		t.Errorf("after Forget: %v, %v", kept, err)
	}
}

// A call whose context ended before it began holds neither the lock nor a turn at
// reading.
func callsThatAreGivenUp(t *testing.T) {
	t.Helper()
	s := open(t, "dora")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if _, err := s.Load(gone); !errors.Is(err, context.Canceled) {
			t.Fatalf("Load: %v, want context.Canceled", err)
		}
		if _, err := s.CompareAndSwap(gone, tandem.Pair{}, tandem.Pair{}); !errors.Is(err, context.Canceled) {
			t.Fatalf("CompareAndSwap: %v, want context.Canceled", err)
		}
	}
	if swapped, err := s.CompareAndSwap(t.Context(), tandem.Pair{}, tandem.Pair{}); !swapped || err != nil {
		t.Errorf("CompareAndSwap: %v, %v", swapped, err)
	}
	if _, err := s.Load(t.Context()); err != nil {
		t.Error(err)
	}
}

// A keyring may take long, because it may ask its owner for a password. A caller can
// give up; the keyring's running swap ends before the next one begins.
func aKeyringThatDoesNotAnswer(t *testing.T, daemon *os.Process) {
	t.Helper()
	first := tandem.Pair{SessionID: "1", AccessToken: "a", RefreshToken: "first"}
	second := tandem.Pair{SessionID: "1", AccessToken: "b", RefreshToken: "second"}
	s := open(t, "carol")
	impatient, err := keyringstore.OpenWithin(service, "carol", impatience, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if swapped, err := s.CompareAndSwap(t.Context(), tandem.Pair{}, first); !swapped || err != nil {
		t.Fatal(swapped, err)
	}
	if err := daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Load(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Load: %v, want context.DeadlineExceeded", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.CompareAndSwap(ctx, first, second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("CompareAndSwap: %v, want context.DeadlineExceeded", err)
	}
	if _, err := impatient.Load(t.Context()); !errors.Is(err, keyringstore.ErrNotAnswering) {
		t.Errorf("Load without a time limit: %v, want ErrNotAnswering", err)
	}
	// CompareAndSwap waits for the running swap, but only until the keyring counts as
	// silent.
	if _, err := impatient.CompareAndSwap(t.Context(), first, second); !errors.Is(err, keyringstore.ErrNotAnswering) {
		t.Errorf("CompareAndSwap without a time limit: %v, want ErrNotAnswering", err)
	}
	if err := daemon.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if swapped, err := s.CompareAndSwap(t.Context(), first, tandem.Pair{}); swapped || err != nil {
		t.Errorf("a swap after the one that was given up: %v, %v; want false, for that one has been done", swapped, err)
	}
	if kept, err := s.Load(t.Context()); err != nil || kept.RefreshToken != "second" {
		t.Errorf("kept is %v, %v", kept, err)
	}
}
