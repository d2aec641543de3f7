// Package wholefile writes a file that is there whole or not at all: [Write] for what
// is in memory and must outlive a crash, [Create] for what a program downloads.
package wholefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A File is written beside its place, and put there by [File.Commit]. What is no
// regular file, such as a pipe or a terminal, is written as it is.
type File struct {
	*os.File

	path string // where Commit puts it; empty if it is there already
	over bool
}

// Create begins a file for path, with the mode of the one that is there, or else with
// what the umask leaves of 0666. A link is followed. Call Commit or Abort.
func Create(path string) (*File, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	before, err := os.Stat(path)
	if err == nil && !before.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		return &File{File: f}, err
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := os.OpenFile(path+"."+rand.Text()[:8]+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // the umask has a say, as for any other program's files
	if err != nil {
		return nil, err
	}
	whole := &File{File: f, path: path}
	if before != nil {
		if err := f.Chmod(before.Mode().Perm()); err != nil {
			return nil, errors.Join(err, whole.Abort())
		}
	}
	return whole, nil
}

// Commit puts the file in its place.
func (f *File) Commit() error {
	f.over = true
	if err := f.Close(); err != nil {
		return errors.Join(err, f.remove())
	}
	if f.path == "" {
		return nil
	}
	if err := rename(f.Name(), f.path); err != nil {
		return errors.Join(err, f.remove())
	}
	return nil
}

// Abort leaves what was there before. After Commit it does nothing.
func (f *File) Abort() error {
	if f.over {
		return nil
	}
	f.over = true
	return errors.Join(f.Close(), f.remove())
}

func (f *File) remove() error {
	if f.path == "" {
		return nil
	}
	return os.Remove(f.Name())
}
