package wholefile_test

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/wholefile"
)

func create(t *testing.T, path, text string) *wholefile.File {
	t.Helper()
	f, err := wholefile.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func content(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The old file stays until the new one is complete, and no other file is left.
func TestAFileIsThereWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := create(t, path, "first").Commit(); err != nil {
		t.Fatal(err)
	}
	if err := create(t, path, "half").Abort(); err != nil {
		t.Fatal(err)
	}
	second := create(t, path, "second")
	if got := content(t, path); got != "first" {
		t.Errorf("before the commit there is %q", got)
	}
	if err := second.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := second.Abort(); err != nil {
		t.Error(err)
	}
	if got := content(t, path); got != "second" {
		t.Errorf("after the commit there is %q", got)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
	if _, err := wholefile.Create(filepath.Join(dir, "nowhere", "file")); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Create keeps the mode that the owner of a file has chosen, and a link stays a link.
func TestModesAndLinks(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := t.TempDir()
	path, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := create(t, link, "new").Commit(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(path); err != nil || info.Mode() != 0o600 || content(t, path) != "new" {
		t.Errorf("%v, %v", info, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v", info, err)
	}
	if err := create(t, os.DevNull, "gone").Commit(); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(os.DevNull); err != nil || info.Mode().IsRegular() {
		t.Fatalf("the null device is %v, %v", info, err)
	}
}
