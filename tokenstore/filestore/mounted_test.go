package filestore_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/need"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// childKeeps makes the test program a process that replaces the pair in its file, then
// removes it, and prints the results.
const childKeeps = "FILESTORE_TEST_KEEPS"

func keepingChild(file string) {
	store, err := filestore.Open(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	next := somePair()
	next.RefreshToken = "another"
	for _, next := range []tandem.Pair{next, {}} {
		fmt.Println(store.CompareAndSwap(context.Background(), somePair(), next))
	}
}

// A file that is a mount of its own, as with docker -v FILE:FILE, can be neither
// replaced nor removed: the kernel returns EBUSY. The error says what to mount instead,
// and the file keeps its pair.
func TestAFileThatIsMountedByItself(t *testing.T) {
	strace := need.Program(t, "strace")
	file := filepath.Join(t.TempDir(), "session.json")
	store := open(t, file)
	keep(t, store, tandem.Pair{}, somePair())
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const calls = "?rename,?renameat,renameat2,?unlink,?rmdir,unlinkat"
	cmd := exec.CommandContext(t.Context(), strace, "-f", "-o", os.DevNull, "-e", "trace="+calls, "-e", "inject="+calls+":error=EBUSY", exe)
	cmd.Env = append(os.Environ(), childFile+"="+file, childKeeps+"=yes")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := file + ": the file is mounted by itself, so that it cannot be replaced: mount its folder, not the file"
	for line := range strings.SplitSeq(strings.TrimSpace(string(out)), "\n") {
		if !strings.HasPrefix(line, "false ") || !strings.Contains(line, want) {
			t.Errorf("got %s, want %s", line, want)
		}
	}
	if got := strings.Count(string(out), "\n"); got != 2 {
		t.Errorf("%d lines, want 2: %s", got, out)
	}
	if kept, err := store.Load(t.Context()); err != nil || kept.RefreshToken != somePair().RefreshToken {
		t.Errorf("kept is %v, %v", kept, err)
	}
}
