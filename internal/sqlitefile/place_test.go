package sqlitefile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// place also works on file systems without hard links, and replaces no file.
func TestABackupWithoutHardLinks(t *testing.T) {
	noLinks := func(from, to string) error {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: syscall.EPERM}
	}
	for name, link := range map[string]func(from, to string) error{"with links": os.Link, "without": noLinks} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			whole, file := filepath.Join(dir, "whole"), filepath.Join(dir, "backup.tar")
			if err := os.WriteFile(whole, []byte("backup"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := place(whole, file, link); err != nil {
				t.Fatal(err)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != "backup" {
				t.Errorf("%q, %v", text, err)
			}
			_ = os.Remove(whole) // after a hard link, whole is a second name of the file
			if err := os.WriteFile(whole, []byte("another"), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := place(whole, file, link); !errors.Is(err, fs.ErrExist) {
				t.Errorf("a second one: %v", err)
			}
			if text, err := os.ReadFile(file); err != nil || string(text) != "backup" {
				t.Errorf("the first is %q, %v", text, err)
			}
			if err := place(filepath.Join(dir, "nothing"), filepath.Join(dir, "new"), noLinks); err == nil {
				t.Error("nothing was put in its place")
			}
			if _, err := os.Stat(filepath.Join(dir, "new")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("something was left: %v", err)
			}
		})
	}
}
