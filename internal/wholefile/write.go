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

// newSuffix is the end of a temporary file's name in [Write]: the name is that of the
// target file, a dot, a random number and this suffix.
const newSuffix = ".new"

// Write replaces or creates the file at path, with the given mode. A crash at any
// moment leaves the whole old file or the whole new one, and perhaps a temporary file,
// which [Tidy] removes. When Write returns, the content is on the disk. Write replaces
// a link at path and does not follow it.
//
// The error wraps the system's. If the file is a mount of its own, which no rename can
// replace, the error wraps [ErrMounted].
func Write(path string, text []byte, mode fs.FileMode) error {
	return WriteFrom(path, bytes.NewReader(text), mode)
}

// WriteFrom is [Write] for content that it reads until io.EOF.
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
	if mode != 0o600 { // some file systems refuse every chmod
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

// Mounted returns err, the error of replacing or removing the file at path. It adds
// [ErrMounted] if the reason is that the file is a mount.
func Mounted(path string, err error) error {
	if errors.Is(err, syscall.EBUSY) && runtime.GOOS != "windows" {
		return fmt.Errorf("%s: %w (%w)", path, ErrMounted, err)
	}
	return err
}

func rename(from, to string) error { return Mounted(to, os.Rename(from, to)) }

// Tidy removes the temporary files that killed processes have left in [Write] for path,
// if they are at least as old as age. With age 0, the caller must make sure that no
// process is writing. Tidy leaves a file that it cannot remove to the next call.
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

// SyncFolder makes files created, renamed or removed in a folder durable, on systems
// and file systems that can sync a folder.
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
		err = nil // a network file system that cannot sync a folder
	}
	return errors.Join(err, d.Close())
}
