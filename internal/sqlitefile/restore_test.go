package sqlitefile_test

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/internal/sqlitefile"
)

// A backup that was cut short between its two files leaves no master key behind, which would
// be in the way of the next try.
func TestARestoreOfHalfABackup(t *testing.T) {
	var text bytes.Buffer
	archive := tar.NewWriter(&text)
	if err := archive.WriteHeader(&tar.Header{Name: "tandem.db.key", Mode: 0o600, Size: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := archive.Write([]byte("key")); err != nil {
		t.Fatal(err)
	}
	if err := archive.Flush(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "backup.tar")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	into := filepath.Join(t.TempDir(), "tandem.db")
	asIs := func(r io.Reader) (io.Reader, error) { return r, nil }
	for range 2 {
		if err := sqlitefile.Restore(into, file, asIs); err == nil || !strings.Contains(err.Error(), "has no database in it") {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Lstat(sqlitefile.KeyFile(into)); err == nil {
		t.Error("the master key is left")
	}
}
