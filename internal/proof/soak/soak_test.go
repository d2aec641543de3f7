package soak_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/proof/soak"
	"github.com/tandem-auth/tandem/internal/testkit/built"
)

func TestMain(m *testing.M) {
	if os.Getenv(soak.AttackerEnv) != "" {
		if err := soak.Attacker(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// A run of seconds, so that the program cannot rot: the load is refreshed without an error,
// and there are samples of the server. make soak runs for ten minutes, on a quiet machine.
func TestAShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real process, and keeps it busy")
	}
	t.Cleanup(built.Remove)
	r, err := soak.Run(t.Context(), soak.Config{
		Server: built.Tandem(t), Folder: t.TempDir(), Attacker: []string{os.Args[0]}, For: 2 * time.Second, Attack: time.Second, Sessions: 20, Slow: 20, Progress: t.Logf,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Refreshes == 0 || r.Errors+r.AttackErrors > 0 || len(r.Samples) == 0 || r.Quiet.Percentile(.99) == 0 || r.SignIns == 0 {
		t.Errorf("%+v", r)
	}
	last := r.Samples[len(r.Samples)-1]
	if last.Memory == 0 || last.Heap == 0 || last.Goroutines == 0 || last.Files == 0 {
		t.Errorf("a sample without values: %+v", last)
	}
}
