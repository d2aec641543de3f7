package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// sharedBuild has the binary that the tests of real processes share: linking it takes longer than
// most of them.
var sharedBuild struct {
	sync.Mutex
	folder string
}

// build returns a name of its own for the real binary.
func build(t *testing.T) string {
	t.Helper()
	sharedBuild.Lock()
	defer sharedBuild.Unlock()
	if sharedBuild.folder == "" {
		folder, err := os.MkdirTemp("", "tandem-built-")
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(folder, "tandem"), ".")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatal(errors.Join(fmt.Errorf("%w\n%s", err, out), os.RemoveAll(folder)))
		}
		sharedBuild.folder = folder
	}
	binary := filepath.Join(t.TempDir(), "tandem")
	if err := os.Link(filepath.Join(sharedBuild.folder, "tandem"), binary); err != nil {
		t.Fatal(err)
	}
	return binary
}

// A cleaner runs the tests, and removes what they have built.
type cleaner struct{ *testing.M }

var _ testscript.TestingM = cleaner{}

// Run runs the tests.
func (c cleaner) Run() int {
	code := c.M.Run()
	if sharedBuild.folder != "" {
		_ = os.RemoveAll(sharedBuild.folder)
	}
	return code
}
