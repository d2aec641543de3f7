//go:build unix

package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A folder that may not be written is named, and stays as it is.
func TestADataFolderThatIsReadOnly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	for name, c := range map[string]struct {
		protect func(t *testing.T, dir string)
		want    string
	}{
		"the folder": {
			func(t *testing.T, dir string) { chmod(t, dir, 0o555) },
			"database DIR/tandem.db cannot be written",
		},
		"a new folder": {
			func(t *testing.T, dir string) {
				if err := os.RemoveAll(dir); err != nil {
					t.Fatal(err)
				}
				if err := os.Mkdir(dir, 0o555); err != nil {
					t.Fatal(err)
				}
			},
			"data folder DIR cannot be written",
		},
		"the database": {
			func(t *testing.T, dir string) { chmod(t, filepath.Join(dir, "tandem.db"), 0o400) },
			"database DIR/tandem.db cannot be written",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProgram(t)
			server := p.start(t)
			if err := server.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			if err := server.Wait(); err != nil {
				t.Fatal(err)
			}
			giveAway(t, p)
			c.protect(t, p.dir)
			t.Cleanup(func() { chmod(t, p.dir, 0o700) })

			serve := exec.CommandContext(t.Context(), p.binary, "serve", "--data", p.dir, "--listen", p.address)
			asNobody(serve)
			out, err := serve.CombinedOutput()
			if want := strings.ReplaceAll(c.want, "DIR", p.dir); err == nil || !strings.Contains(string(out), want) {
				t.Errorf("the output does not say %q: %v\n%s", want, err, out)
			}
		})
	}
}

// A process without file descriptors is not told to make its folder writable.
func TestAServerThatIsOutOfFileDescriptors(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	p := newProgram(t)
	for n := 8; n <= 14; n++ {
		serve := exec.CommandContext(t.Context(), "sh", "-c", fmt.Sprintf("ulimit -n %d && exec %s serve --data %s --listen 127.0.0.1:99999", n, p.binary, p.dir))
		out, err := serve.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "too many open files") && !strings.Contains(string(out), "99999") || strings.Contains(string(out), "make") {
			t.Errorf("with %d: %v\n%s", n, err, out)
		}
	}
}

// nobody is the user that tests run as root become, for root may write
// everything.
const nobody = 65534

func asNobody(cmd *exec.Cmd) {
	if os.Getuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
}

// giveAway makes a program's folder nobody's, with all that is in it, and lets
// nobody run the program.
func giveAway(t *testing.T, p program) {
	t.Helper()
	if os.Getuid() != 0 {
		return
	}
	chmod(t, filepath.Dir(filepath.Dir(p.binary)), 0o755)
	err := filepath.WalkDir(p.dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(path, nobody, nobody)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
