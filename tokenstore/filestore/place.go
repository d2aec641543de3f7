package filestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// makeFolder creates the folder of the session file at path, and refuses a folder in
// which everybody can replace files. It accepts one like /tmp, whose sticky bit lets
// only the owner of a file replace it.
func makeFolder(path string) error {
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("make the folder for the session: %w", explain(path, folder, err))
	}
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("look at the folder for the session: %w", explain(path, folder, err))
	}
	if mode := info.Mode(); mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 && runtime.GOOS != "windows" {
		return &UnsafeError{
			Path:    folder,
			Problem: fmt.Sprintf("is a folder that everybody can write (mode %04o), and put another session in place of yours", mode.Perm()),
			Cure:    "run chmod o-w " + folder,
		}
	}
	return nil
}

// mostLinks bounds how many symbolic links resolve follows.
const mostLinks = 40

// resolve follows symbolic links to a file that need not exist, so that the store
// replaces the file and not the link, and all processes lock the same file.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the session file: %w", err)
	}
	for range mostLinks {
		path = resolveFolder(path)
		target, isLink := readLink(path)
		if !isLink {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("find the session file: too many links, the last one is %s", path)
}

// resolveFolder follows the links in the path of the folder, but not the file itself.
func resolveFolder(path string) string {
	if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
		return filepath.Join(folder, filepath.Base(path))
	}
	return path
}

func readLink(path string) (target string, isLink bool) {
	target, err := os.Readlink(path)
	return target, err == nil
}

// openFile opens a file for reading. It does not wait for a writer if the file is a
// named pipe. The error is an [UnsafeError] or the system's.
func openFile(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|nonBlocking, 0)
	if err != nil {
		if info, statErr := os.Stat(path); statErr == nil && !info.Mode().IsRegular() {
			return nil, nil, notAFile(path, info.Mode()) // a socket cannot be opened
		}
		return nil, nil, explain(path, path, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = notAFile(path, info.Mode())
	}
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
