package wholefile_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"github.com/tandem-auth/tandem/internal/wholefile"
)

func names(t *testing.T, folder string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// The new file has the requested mode, whatever mode the old file had, and no other
// file is left.
func TestAWrittenFile(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	for _, mode := range []fs.FileMode{0o600, 0o640, 0o444, 0o600} {
		text := mode.String()
		if err := wholefile.Write(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil || info.Mode() != mode && runtime.GOOS != "windows" || content(t, path) != text {
			t.Errorf("want mode %v, got %v, %v with %q", mode, info, err, content(t, path))
		}
	}
	if got := names(t, folder); !slices.Equal(got, []string{"file"}) {
		t.Errorf("there are %v", got)
	}
}

// The old file stays if the new content is incomplete.
func TestAFileThatCannotBeWritten(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	if err := wholefile.Write(path, []byte("first"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := io.MultiReader(strings.NewReader("sec"), iotest.ErrReader(io.ErrUnexpectedEOF))
	if err := wholefile.WriteFrom(path, broken, 0o600); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v, want that the content ended too early", err)
	}
	if got := content(t, path); got != "first" {
		t.Errorf("there is %q", got)
	}
	if err := os.Mkdir(filepath.Join(folder, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := wholefile.Write(filepath.Join(folder, "folder"), nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if err := wholefile.Write(filepath.Join(folder, "nowhere", "file"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if got := names(t, folder); !slices.Equal(got, []string{"file", "folder"}) {
		t.Errorf("there are %v", got)
	}
}

// Tidy recognises the temporary files that Write leaves in a crash by their names, and
// does not touch other files.
func TestTidy(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "file")
	old := time.Now().Add(-2 * time.Hour)
	for _, name := range []string{"file", "file.1.new", "file.2.new", "file.mine.new", "file.1.old", "file.1.part", "other.1.new"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if name != "file.2.new" {
			if err := os.Chtimes(filepath.Join(folder, name), old, old); err != nil {
				t.Fatal(err)
			}
		}
	}
	wholefile.Tidy(path, time.Hour)
	want := []string{"file", "file.1.old", "file.1.part", "file.2.new", "file.mine.new", "other.1.new"}
	if got := names(t, folder); !slices.Equal(got, want) {
		t.Errorf("of those older than an hour, there are left %v, want %v", got, want)
	}
	wholefile.Tidy(path, 0)
	want = slices.DeleteFunc(want, func(name string) bool { return name == "file.2.new" })
	if got := names(t, folder); !slices.Equal(got, want) {
		t.Errorf("there are left %v, want %v", got, want)
	}
}

// Mounted explains the error of replacing a file that is a mount of its own, and
// returns other errors unchanged.
func TestAFileThatIsAMount(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such mounts")
	}
	busy := &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EBUSY}
	if err := wholefile.Mounted("b", busy); !errors.Is(err, wholefile.ErrMounted) || !errors.Is(err, syscall.EBUSY) || !strings.Contains(err.Error(), "b: the file is mounted by itself") {
		t.Errorf("got %v", err)
	}
	if err := wholefile.Mounted("b", fs.ErrPermission); !errors.Is(err, fs.ErrPermission) || errors.Is(err, wholefile.ErrMounted) {
		t.Errorf("got %v", err)
	}
	if err := wholefile.Mounted("b", nil); err != nil {
		t.Errorf("got %v", err)
	}
}
