package datadir_test

import (
	"archive/tar"
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/datadir"
	"github.com/tandem-auth/tandem/server"
)

func open(t *testing.T, path string) *datadir.Dir {
	t.Helper()
	d, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return d
}

func keys(t *testing.T, d *datadir.Dir, alg server.Algorithm) datadir.Keys {
	t.Helper()
	k, err := d.Keys(alg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// withDatabase makes a folder that has been in use.
func withDatabase(t *testing.T, path string) {
	t.Helper()
	d := open(t, path)
	keys(t, d, server.ES256)
	if err := os.WriteFile(d.Database(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreMadeOnceAndForTheirOwnerAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "data")
	d := open(t, path)
	first := keys(t, d, server.ES256)
	again := keys(t, d, server.ES256)
	if first.Signing.ID() != again.Signing.ID() || !bytes.Equal(first.Refresh[0].Secret, again.Refresh[0].Secret) {
		t.Error("the second call made other keys")
	}
	if runtime.GOOS == "windows" {
		return // no such modes
	}
	files, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %04o", file.Name(), info.Mode().Perm())
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o700 {
		t.Errorf("the folder has mode %04o", info.Mode().Perm())
	}
}

func TestASecondServerIsKeptOut(t *testing.T) {
	path := t.TempDir()
	first := open(t, path)
	_, err := datadir.Open(path)
	if err == nil || !strings.Contains(err.Error(), "another server is running on the data folder "+path) {
		t.Errorf("got %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestAnotherAlgorithmRetiresTheKey(t *testing.T) {
	d := open(t, t.TempDir())
	old := keys(t, d, server.ES256)
	changed := keys(t, d, server.EdDSA)
	if changed.Signing.Algorithm() != server.EdDSA || len(changed.Retired) != 1 || changed.Retired[0].ID() != old.Signing.ID() {
		t.Errorf("after the change: %+v", changed)
	}
	if _, err := d.Keys("HS256"); err == nil || !strings.Contains(err.Error(), `"HS256" is none of ES256, EdDSA and RS256`) {
		t.Errorf("HS256: %v", err)
	}
}

// Whatever is wrong with a key file, it is named, and it stays as it is: new keys
// would sign everybody out.
func TestKeyFilesThatAreRefused(t *testing.T) {
	const refresh, signing = "refresh-keys.json", "signing-es256.pem"
	for name, c := range map[string]struct {
		file    string
		content string // "" removes it
		mode    os.FileMode
		want    string
	}{
		"refresh keys are missing":      {refresh, "", 0, "there are sessions in"},
		"refresh keys are cut short":    {refresh, `{"keys":[{"id":1,"secret":"c2Vjcm`, 0o600, "is damaged"},
		"refresh keys are empty":        {refresh, `{}`, 0o600, refresh},
		"refresh keys are weak":         {refresh, `{"keys":[{"id":1,"secret":"c2VjcmV0"}]}`, 0o600, refresh},
		"refresh keys open to others":   {refresh, `{}`, 0o644, "chmod 600"},
		"the signing key is damaged":    {signing, "-----BEGIN PRIVATE KEY-----\n", 0o600, "signing key"},
		"the signing key open to group": {signing, "x", 0o640, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(name, "open to") && runtime.GOOS == "windows" {
				t.Skip("Windows has no such modes")
			}
			path := t.TempDir()
			withDatabase(t, path)
			file := filepath.Join(path, c.file)
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if c.content != "" {
				if err := os.WriteFile(file, []byte(c.content), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := open(t, path).Keys(server.ES256)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, part := range []string{file, c.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "c2Vjcm") {
				t.Errorf("the error has the secret in it: %v", err)
			}
			after, _ := os.ReadFile(file)
			if string(after) != c.content {
				t.Error("the file was changed")
			}
		})
	}
}

func TestPrepareLeavesAFolderInUseAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := datadir.Prepare(path); err != nil {
		t.Fatal(err)
	}
	prepared := keys(t, open(t, path), server.ES256)
	if err := os.WriteFile(datadir.Database(path), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := datadir.Prepare(path); err != nil { // though a server holds the lock
		t.Error(err)
	}
	if len(prepared.Refresh) != 1 {
		t.Errorf("%d refresh keys, want 1", len(prepared.Refresh))
	}
}

// A file that only looks like a backup reaches nothing outside of the folder.
func TestRestoreTakesNothingButABackup(t *testing.T) {
	for name, entries := range map[string]map[string]string{
		"a path upwards":  {"../tandem.db": "x"},
		"an absolute one": {"/tmp/tandem.db": "x"},
		"another file":    {"server.lock": "x"},
		"a key in a path": {"signing-x/../../y.pem": "x"},
		"no database":     {"refresh-keys.json": "{}"},
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
			data := filepath.Join(dir, "a", "data")
			if err := datadir.Restore(data, file); err == nil || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
			if _, err := os.Stat(datadir.Database(data)); err == nil {
				t.Error("there is a database")
			}
		})
	}
}
