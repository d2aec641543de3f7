package sqlitefile_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/sqlitefile"
)

func lock(t *testing.T, path string) *sqlitefile.Lock {
	t.Helper()
	l, err := sqlitefile.NewLock(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return l
}

func TestTheMasterKeyIsMadeOnceAndForItsOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data", "tandem.db")
	l := lock(t, path)
	if _, err := l.MasterKeys(false); err == nil || !strings.Contains(err.Error(), path+".key is missing") {
		t.Errorf("where something has been sealed already: %v", err)
	}
	first, err := l.MasterKeys(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, mayMake := range []bool{true, false} {
		if again, err := l.MasterKeys(mayMake); err != nil || len(again) != 1 || again[0] != first[0] {
			t.Errorf("the second call: %v, %v", again, err)
		}
	}
	if runtime.GOOS == "windows" {
		return // the system has no such modes
	}
	for file, want := range map[string]os.FileMode{filepath.Dir(path): 0o700, path + ".key": 0o600, path + ".lock": 0o600} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want mode %04o", file, info, err, want)
		}
	}
}

// Exposed names each file that others can read or write, and the command that corrects it.
// Files that the package itself makes are not among them.
func TestWhatOthersCanGetAt(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	path := filepath.Join(t.TempDir(), "data", "tandem.db")
	lock(t, path)
	for _, suffix := range []string{"", "-wal"} {
		if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := sqlitefile.Exposed(path); len(got) != 0 {
		t.Errorf("as it is made: %q", got)
	}
	for _, c := range []struct {
		file string
		mode os.FileMode
		want string
	}{
		{filepath.Dir(path), 0o777, "others can put a database of theirs into the folder " + filepath.Dir(path) + " (mode 0777)"},
		{filepath.Dir(path), 0o770, "others can put"},
		{filepath.Dir(path), 0o755, ""},
		{path, 0o606, "others can change " + path + " (mode 0606): run chmod 600 " + path},
		{path, 0o660, "others can change"},
		{path, 0o640, "others can read " + path},
		{path + "-wal", 0o644, "others can read " + path + "-wal"},
	} {
		before, err := os.Stat(c.file)
		if err != nil {
			t.Fatal(err)
		}
		chmod(t, c.file, c.mode)
		got := strings.Join(sqlitefile.Exposed(path), "; ")
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s with mode %04o: %q, want %q", c.file, c.mode, got, c.want)
		}
		chmod(t, c.file, before.Mode().Perm())
	}
}

func chmod(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestASecondServerIsKeptOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	first := lock(t, path)
	_, err := sqlitefile.NewLock(path)
	if err == nil || !strings.Contains(err.Error(), "another server is running on the database "+path) {
		t.Errorf("got %v", err)
	}
	lock(t, filepath.Join(filepath.Dir(path), "another.db"))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	lock(t, path)
}

// If the file of the master key is invalid, the error names the file and contains nothing
// of it, and the file stays unchanged.
func TestMasterKeyFilesThatAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    os.FileMode
		want    string
	}{
		"empty":          {"", 0o600, "no master key"},
		"cut short":      {"c2VjcmV0\n", 0o600, "line 1 is no master key"},
		"open to others": {"c2VjcmV0", 0o644, "chmod 600"},
		"open to group":  {"c2VjcmV0", 0o640, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "open to") && runtime.GOOS == "windows" {
				t.Skip("Windows has no such modes")
			}
			path := filepath.Join(t.TempDir(), "tandem.db")
			if err := os.WriteFile(path+".key", []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			_, err := lock(t, path).MasterKeys(true)
			if err == nil || !strings.Contains(err.Error(), path+".key") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "c2Vj") {
				t.Errorf("the error has the secret in it: %v", err)
			}
			if after, _ := os.ReadFile(path + ".key"); string(after) != c.content {
				t.Error("the file was changed")
			}
		})
	}
}

// Restoring a forged backup writes nothing outside of the folder.
func TestRestoreTakesNothingButABackup(t *testing.T) {
	for name, entries := range map[string]map[string]string{
		"a path upwards":  {"../tandem.db": "x"},
		"an absolute one": {"/tmp/tandem.db": "x"},
		"another file":    {"tandem.db.lock": "x"},
		"a key in a path": {"x/../tandem.db.key": "x"},
		"no database":     {"tandem.db.key": "x"},
		"nothing":         {},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var b bytes.Buffer
			archive := tar.NewWriter(&b)
			for entry, content := range entries {
				if err := archive.WriteHeader(&tar.Header{Name: entry, Mode: 0o600, Size: int64(len(content))}); err != nil {
					t.Fatal(err)
				}
				if _, err := archive.Write([]byte(content)); err != nil {
					t.Fatal(err)
				}
			}
			if err := archive.Close(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "backup.tar")
			if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "a", "tandem.db")
			if err := sqlitefile.Restore(path, file, func(r io.Reader) (io.Reader, error) { return r, nil }); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(path); err == nil {
				t.Error("there is a database")
			}
		})
	}
}
