package chaos_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/tandem-auth/tandem/internal/proof/chaos"
	"github.com/tandem-auth/tandem/internal/testkit/built"
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
	t.Cleanup(built.Remove)
	report, err := chaos.Run(t.Context(), chaos.Config{
		Server: built.Tandem(t), Client: []string{self}, Folder: t.TempDir(), Clients: 8, Kills: 5,
	})
	if err != nil {
		t.Fatal(err)
	}
	if !report.OK() {
		t.Errorf("%+v", report)
	}
	t.Logf("%+v", report)
}
