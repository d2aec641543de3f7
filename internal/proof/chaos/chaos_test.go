package chaos_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/tandem-auth/tandem/internal/proof/chaos"
)

// The test's own binary is the client process too.
func TestMain(m *testing.M) {
	if os.Getenv(chaos.ClientEnv) == "" {
		os.Exit(m.Run())
	}
	if err := chaos.Client(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// make chaos does it fifty times.
func TestAServerThatIsKilledFiveTimes(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	server := filepath.Join(t.TempDir(), "tandem.exe")
	build := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", server, "../../../cmd/tandem")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	report, err := chaos.Run(t.Context(), chaos.Config{
		Server: server, Client: []string{self}, Folder: t.TempDir(), Clients: 8, Kills: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("%+v", report)
	}
	t.Logf("%+v", report)
}
