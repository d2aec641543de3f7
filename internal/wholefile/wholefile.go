// Package wholefile writes files that appear whole or not at all: [Write] for content
// in memory that must survive a crash, [Create] for a download.
package wholefile

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// A File is written under a temporary name beside its path; [File.Commit] renames it to
// the path. If the path is not a regular file, such as a pipe or a terminal, the
// program writes to it directly.
type File struct {
	*os.File

	path string // where Commit moves the file; empty if it is written in place
	over bool
}

// Create begins a file for path, with the mode of the existing file, or with 0666 minus
// the umask if there is none. It follows a link. The caller must call Commit or Abort.
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
	f, err := os.OpenFile(path+"."+rand.Text()[:8]+".part", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666) //nolint:gosec // the umask restricts the mode, as for any program's files
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

// Commit replaces the file at the path with the new one.
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

// Abort removes the temporary file and leaves the old file as it was. After Commit it
// does nothing.
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
