// Package built builds the program for the tests that start real processes, as make build
// does: static and stripped.
package built

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// shared has the program that the tests of a package share: to link it takes longer than
// most of them.
var shared struct {
	sync.Mutex
	folder string
}

const name = "tandem.exe" // Windows runs no other

// Tandem returns the path of the program, which is the test's own. The first call builds it;
// the package's TestMain calls [Remove] in the end.
func Tandem(t testing.TB) string {
	t.Helper()
	shared.Lock()
	defer shared.Unlock()
	if shared.folder == "" {
		folder, err := os.MkdirTemp("", "tandem-built-")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-ldflags", "-s -w",
			"-o", filepath.Join(folder, name), "github.com/tandem-auth/tandem/cmd/tandem")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatal(errors.Join(fmt.Errorf("build the program: %w\n%s", err, out), os.RemoveAll(folder)))
		}
		shared.folder = folder
	}
	binary := filepath.Join(t.TempDir(), name)
	if err := os.Link(filepath.Join(shared.folder, name), binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// Remove removes what [Tandem] has built. Without a call of that it does nothing.
func Remove() {
	shared.Lock()
	defer shared.Unlock()
	if shared.folder != "" {
		_ = os.RemoveAll(shared.folder)
		shared.folder = ""
	}
}
