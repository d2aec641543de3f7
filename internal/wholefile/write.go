package wholefile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// newSuffix ends the name of a file that [Write] has begun: the name of the file that
// it is for, a dot, a random number and this.
const newSuffix = ".new"

// Write replaces the file at path, or makes it, with the given mode. A crash at any
// moment leaves the old file or the new one, whole, and perhaps a file beside that
// [Tidy] removes; what was written is on the disk once Write returns. A link at path is
// replaced, not followed.
//
// The error wraps what the system said. One that comes of a file that is mounted by
// itself, which no rename can replace, is an [ErrMounted].
func Write(path string, text []byte, mode fs.FileMode) error {
	return WriteFrom(path, bytes.NewReader(text), mode)
}

// WriteFrom is [Write] for content that is read until its end.
func WriteFrom(path string, content io.Reader, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*"+newSuffix) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if mode != 0o600 { // some file systems refuse every change
		if err := f.Chmod(mode); err != nil {
			return err
		}
	}
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := rename(f.Name(), path); err != nil {
		return err
	}
	return SyncFolder(filepath.Dir(path))
}

// ErrMounted is wrapped by the error for a file that cannot be replaced because it is a
// mount of its own, as with "docker run -v FILE:FILE".
var ErrMounted = errors.New("the file is mounted by itself, so that it cannot be replaced: mount its folder, not the file")

// Mounted returns err, which came of replacing or removing the file at path, and wraps
// [ErrMounted] if the file's being a mount is the reason.
func Mounted(path string, err error) error {
	if errors.Is(err, syscall.EBUSY) && runtime.GOOS != "windows" {
		return fmt.Errorf("%s: %w (%w)", path, ErrMounted, err)
	}
	return err
}

func rename(from, to string) error { return Mounted(to, os.Rename(from, to)) }

// Tidy removes what calls of [Write] for path have left half written because their
// process was killed, if it is at least as old as age. With age 0, make sure that
// nobody is writing. What cannot be removed stays, for the next call.
func Tidy(path string, age time.Duration) {
	folder := filepath.Dir(path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	for _, entry := range entries {
		rest, isOurs := strings.CutPrefix(entry.Name(), filepath.Base(path)+".")
		number, isNew := strings.CutSuffix(rest, newSuffix)
		if !isOurs || !isNew || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if info, err := entry.Info(); age == 0 || err == nil && time.Since(info.ModTime()) >= age {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}

// SyncFolder makes what was made, renamed or removed in a folder durable, on the
// systems and file systems where a folder can be synced.
func SyncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, errors.ErrUnsupported) {
		err = nil // a network file system without it
	}
	return errors.Join(err, d.Close())
}
