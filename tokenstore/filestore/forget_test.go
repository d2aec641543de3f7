package filestore_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/filestore"
	"github.com/tandem-auth/tandem/tokenstore/internal/filelock"
)

// Forget removes the session whatever the file contains and whoever can read it, and
// another session can be kept in its place.
func TestForget(t *testing.T) {
	for name, c := range map[string]struct {
		content string
		mode    fs.FileMode
	}{
		"a session":                   {`{"version":1,"pair":{"refreshToken":"geheim"}}`, 0o600},
		"one that others can read":    {`{"version":1,"pair":{"refreshToken":"geheim"}}`, 0o644},
		"one that nobody can read":    {`{"version":1,"pair":{"refreshToken":"geheim"}}`, 0},
		"one of a later format":       {`{"version":99}`, 0o600},
		"one that is damaged":         {`{`, 0o600},
		"one that is empty":           {``, 0o600},
		"something else's, by chance": {`[]`, 0o600},
	} {
		t.Run(name, func(t *testing.T) {
			folder := t.TempDir()
			path := filepath.Join(folder, "session.json")
			for _, file := range []string{path, path + ".123.new", filepath.Join(folder, "another.json")} {
				if err := os.WriteFile(file, []byte(c.content), c.mode); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.Chmod(path, c.mode); err != nil { // the umask does not apply
				t.Fatal(err)
			}
			if err := filestore.Forget(path); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(folder)
			if err != nil || len(entries) != 2 || entries[0].Name() != "another.json" || entries[1].Name() != "session.json.swap" {
				t.Errorf("there are %v, %v", entries, err)
			}
			keep(t, open(t, path), tandem.Pair{}, somePair())
			if err := errors.Join(filestore.Forget(path), filestore.Forget(path)); err != nil {
				t.Error(err)
			}
		})
	}
	if err := filestore.Forget(filepath.Join(t.TempDir(), "nowhere", "session.json")); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
}

// Forget removes neither a link nor its target, which could be any file.
func TestForgettingALink(t *testing.T) {
	folder := t.TempDir()
	target, link := filepath.Join(folder, "precious"), filepath.Join(folder, "session.json")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, link); err != nil {
		t.Skip(err)
	}
	err := filestore.Forget(link)
	if !errors.Is(err, filestore.ErrUnusable) || !strings.Contains(err.Error(), link+" is a link to "+target) {
		t.Errorf("got %v", err)
	}
	for _, path := range []string{target, link} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

// A process that is stopped in the middle of a write does not keep another from
// forgetting the session, but Forget reports it.
func TestForgettingWhileSomebodyHasTheLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "session.json")
	keep(t, open(t, path), tandem.Pair{}, somePair())
	unlock, _, err := filelock.Lock(t.Context(), path+".swap")
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := filestore.Forget(path); err == nil || !strings.Contains(err.Error(), "may put it back") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}
