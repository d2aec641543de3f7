package filestore_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
)

// nobody and somebody are the IDs of two users other than root.
const nobody, somebody = 65534, 65533

// as runs do as another user than root, on a thread that ends with do.
func as(t *testing.T, uid int, do func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be another user")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked, so that no other goroutine gets this thread
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)); errno != 0 {
			t.Error(errno)
			return
		}
		do()
	}()
	<-done
}

// openFolder returns an empty folder that other users can list.
func openFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, path := range []string{filepath.Dir(folder), folder} {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// A command that once ran with sudo leaves files that belong to root. The error tells
// the user who owns them, and which command gives them back.
func TestFilesOfAnotherUser(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(folder, path string) error
		want    []string
	}{
		"all of them, in a folder of the user's": {
			func(folder, _ string) error { return os.Chown(filepath.Dir(folder), nobody, -1) },
			[]string{"session belongs to root (mode 0700), and this process runs as nobody: run sudo chown -R nobody /", "session"},
		},
		"all of them, in root's home": {
			func(string, string) error { return nil },
			[]string{"session belongs to root (mode 0700), and this process runs as nobody: name another place"},
		},
		"the file and its lock": {
			func(folder, _ string) error { return os.Chown(folder, nobody, -1) },
			[]string{"session.json belongs to root (mode 0600), and this process runs as nobody: run sudo chown nobody ", "session.json.swap"},
		},
		"the lock": {
			func(folder, path string) error {
				return errors.Join(os.Chown(folder, nobody, -1), os.Chown(path, nobody, -1))
			},
			[]string{"session.json.swap belongs to root (mode 0600), and this process runs as nobody: run sudo chown nobody ", "session.json.swap"},
		},
		"the folder, and nothing in it": {
			func(folder, path string) error {
				return errors.Join(os.Remove(path), os.Remove(path+".swap"), os.Chmod(folder, 0o755))
			},
			[]string{" belongs to root (mode 0755), and this process runs as nobody: name another place"},
		},
		"the file, and others can read it": {
			func(folder, path string) error {
				return errors.Join(os.Chown(folder, nobody, -1), os.Chmod(path, 0o644))
			},
			[]string{"session.json belongs to root and can be read by others (mode 0644): run sudo chown nobody ", "&& chmod 600 "},
		},
		"none, but the file is closed to its owner": {
			func(folder, path string) error {
				return errors.Join(os.Chown(folder, nobody, -1), os.Chown(path, nobody, -1), os.Chown(path+".swap", nobody, -1), os.Chmod(path, 0))
			},
			[]string{"session.json is closed to its owner (mode 0000): run chmod 600 "},
		},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(openFolder(t), "session")
			path := filepath.Join(folder, "session.json")
			if os.Geteuid() == 0 {
				keep(t, open(t, path), tandem.Pair{}, somePair())
				if err := c.prepare(folder, path); err != nil {
					t.Fatal(err)
				}
			}
			var err error
			as(t, nobody, func() {
				var s *filestore.Store
				if s, err = filestore.Open(path); err == nil {
					_, err = s.CompareAndSwap(t.Context(), tandem.Pair{}, somePair())
				}
			})
			var unsafe *filestore.UnsafeError
			if !errors.As(err, &unsafe) || !errors.Is(err, filestore.ErrUnusable) {
				t.Fatalf("got %v, want an UnsafeError", err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %v, want %q", err, want)
				}
			}
		})
	}
}

// The owner of the folder can forget a file, whoever owns the file; otherwise the error
// names the owner.
func TestForgettingAFileOfAnotherUser(t *testing.T) {
	folder := filepath.Join(openFolder(t), "session")
	path := filepath.Join(folder, "session.json")
	keep(t, open(t, path), tandem.Pair{}, somePair())
	if err := os.Chmod(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	var denied, alone error
	as(t, nobody, func() { denied = filestore.Forget(path) })
	var unsafe *filestore.UnsafeError
	if !errors.As(denied, &unsafe) || unsafe.Path != folder || !errors.Is(denied, fs.ErrPermission) {
		t.Errorf("in root's folder: %v", denied)
	}
	if err := errors.Join(os.Chown(folder, somebody, -1), os.Chown(path+".swap", nobody, -1)); err != nil {
		t.Fatal(err)
	}
	as(t, somebody, func() { alone = filestore.Forget(path) })
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	if alone == nil || !strings.Contains(alone.Error(), "a process that is writing it may put it back") || !strings.Contains(alone.Error(), "session.json.swap belongs to nobody") {
		t.Errorf("a lock of nobody's: %v", alone)
	}
}

// The store neither waits for a path that is not a regular file, nor removes it.
func TestWhatIsNoFile(t *testing.T) {
	for name, c := range map[string]struct {
		create func(path string) error
		want   string
	}{
		"a named pipe": {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "is a named pipe, not a file"},
		"a folder":     {func(path string) error { return os.Mkdir(path, 0o700) }, "is a folder, not a file"},
		"a socket": {func(path string) error {
			fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
			return errors.Join(err, syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}), syscall.Close(fd))
		}, "is a socket, not a file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Chdir(t.TempDir()) // the name of a socket must be short
			for _, place := range []string{"session.json", "of-lock.json.swap"} {
				if err := c.create(place); err != nil {
					t.Fatal(err)
				}
				path := strings.TrimSuffix(place, ".swap")
				s, err := filestore.Open(path)
				if err == nil {
					_, err = s.CompareAndSwap(t.Context(), tandem.Pair{}, somePair())
				}
				if !errors.Is(err, filestore.ErrUnusable) || !strings.Contains(err.Error(), place+" "+c.want) {
					t.Errorf("%s: %v, want %q", place, err, c.want)
				}
				if err := filestore.Forget(path); !errors.Is(err, filestore.ErrUnusable) {
					t.Errorf("%s: Forget: %v", place, err)
				}
				if _, err := os.Lstat(place); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
