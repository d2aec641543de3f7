//go:build unix

package profile_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/tandem-auth/tandem/internal/profile"
)

// If others can change the settings, they can direct tokens to themselves.
func TestSettingsThatOthersCanChange(t *testing.T) {
	root := t.TempDir()
	p, err := profile.New(root, "default", "https://auth.example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Save(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, "default", "settings.json")
	for mode, want := range map[os.FileMode]string{0o600: "", 0o644: "", 0o660: "chmod 600 " + path, 0o602: "chmod 600 " + path} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		_, err := profile.Load(root, "default")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%04o: %v, want %q", mode, err, want)
		}
	}
}

// A pipe in place of the settings does not make Load hang.
func TestSettingsThatAreAPipe(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(root, "default", "settings.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := profile.Load(root, "default"); err == nil || !strings.Contains(err.Error(), "is not a regular file") {
		t.Errorf("got %v", err)
	}
}
