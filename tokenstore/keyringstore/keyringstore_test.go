//go:build linux

package keyringstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/need"
	"github.com/tandem-auth/tandem/tokenstore/keyringstore"
	"github.com/tandem-auth/tandem/tokenstore/tokenstoretest"
)

const service = "tandem-test"

// busConfig is of a bus that starts no programs by itself. One that does would be asked
// for a keyring before ours is there, and start a locked one, with a prompt that nobody
// sees.
const busConfig = `<busconfig>
	<type>session</type>
	<listen>unix:tmpdir=/tmp</listen>
	<auth>EXTERNAL</auth>
	<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>`

// patience bounds the wait for the keyring.
const patience = time.Minute

// start starts a message bus and a GNOME Keyring of the test's own, with an open
// keyring, and returns the latter's process.
func start(t *testing.T) *os.Process {
	t.Helper()
	home := t.TempDir()
	for name, value := range map[string]string{
		"HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home, "XDG_RUNTIME_DIR": home, "XDG_CONFIG_HOME": home,
	} {
		t.Setenv(name, value)
	}
	config := filepath.Join(home, "bus.conf")
	if err := os.WriteFile(config, []byte(busConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	bus := exec.CommandContext(t.Context(), need.Program(t, "dbus-daemon"), "--config-file="+config, "--nofork", "--print-address=1")
	daemon := exec.CommandContext(t.Context(), need.Program(t, "gnome-keyring-daemon"), "--foreground", "--unlock", "--components=secrets")

	bus.Stderr = t.Output()
	address, err := bus.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	run(t, bus)
	line, err := bufio.NewReader(address).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(line))
	daemon.Stdin = strings.NewReader("geheim")
	daemon.Stderr = t.Output()
	run(t, daemon)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := keyring.Get(service, "nobody")
		if errors.Is(err, keyring.ErrNotFound) {
			return daemon.Process
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func open(t testing.TB, user string) *keyringstore.Store {
	t.Helper()
	s, err := keyringstore.Open(service, user)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// One test, for the library connects to one bus in the life of a process.
func TestKeyring(t *testing.T) {
	t.Run("where there is none", func(t *testing.T) {
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
		t.Setenv("HOME", t.TempDir())
		if _, err := keyringstore.Open(service, "ann"); !errors.Is(err, keyringstore.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	daemon := start(t)

	users := 0
	tokenstoretest.Run(t, func(testing.TB) func() tandem.Store {
		users++
		user := fmt.Sprint("user ", users)
		return func() tandem.Store { return open(t, user) }
	})

	for text, want := range map[string]string{
		"geheim":                    "is damaged: delete it",
		`{"version":2,"pair":{}}`:   "was written by a newer version",
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

// A keyring may take its time, for it may ask its owner for a password: whoever waits
// can give up. What was under way is finished before the next one's turn.
func aKeyringThatDoesNotAnswer(t *testing.T, daemon *os.Process) {
	t.Helper()
	first := tandem.Pair{SessionID: "1", AccessToken: "a", RefreshToken: "first"}
	second := tandem.Pair{SessionID: "1", AccessToken: "b", RefreshToken: "second"}
	s := open(t, "carol")
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
