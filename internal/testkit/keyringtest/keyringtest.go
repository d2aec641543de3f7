// Package keyringtest starts a keyring for tests.
package keyringtest

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// busConfig configures a bus that starts no programs by itself. Otherwise the bus would
// start a locked keyring before the test's, with a prompt that nobody sees.
const busConfig = `<busconfig>
	<type>session</type>
	<listen>unix:tmpdir=/tmp</listen>
	<auth>EXTERNAL</auth>
	<policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>`

// patience bounds the wait for the keyring.
const patience = time.Minute

// Start starts a message bus and a GNOME Keyring for the test, with an unlocked, empty
// keyring, and returns the keyring's process. Until the test ends, the environment
// points to them and to a temporary home folder.
func Start(t *testing.T) *os.Process {
	t.Helper()
	startBus(t)
	daemon := exec.CommandContext(t.Context(), need.Program(t, "gnome-keyring-daemon"), "--foreground", "--unlock", "--components=secrets") //nolint:gosec // a program of the system's
	daemon.Stdin = strings.NewReader("geheim")
	daemon.Stderr = t.Output()
	run(t, daemon)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := keyring.Get("keyringtest", "nobody")
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

// startBus starts an empty message bus and sets the environment as [Start] does. When
// the test ends, it closes the connection that the library otherwise keeps for the life
// of the process.
func startBus(t *testing.T) *os.Process {
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
	bus := exec.CommandContext(t.Context(), need.Program(t, "dbus-daemon"), "--config-file="+config, "--nofork", "--print-address=1") //nolint:gosec // a program of the system's
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
	t.Cleanup(func() {
		if conn, err := dbus.SessionBus(); err == nil {
			_ = conn.Close()
		}
	})
	return bus.Process
}
