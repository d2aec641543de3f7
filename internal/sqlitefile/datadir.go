// Package datadir is the folder that a server keeps everything in: the database,
// the keys, and the lock that keeps a second server out.
package datadir

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/gofrs/flock"
)

// The files of a folder.
const (
	databaseFile = "tandem.db"
	lockFile     = "server.lock"
	refreshFile  = "refresh-keys.json"
)

// A Dir is a folder that this process has locked.
type Dir struct {
	path string
	lock *flock.Flock
}

// Database returns the path of the database in the folder at path. The command
// uses it beside a running server: SQLite keeps the two apart.
func Database(path string) string { return filepath.Join(path, databaseFile) }

// Open makes the folder if it is not there, for its owner alone, and locks it.
// The error names the folder or the file.
func Open(path string) (*Dir, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	// The lock file stays when the lock goes: deleting it would let two servers
	// each lock a file of that name.
	lock := flock.New(filepath.Join(path, lockFile), flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrPermission) || isReadOnly(err):
		return nil, fmt.Errorf("data folder %s cannot be written: %w; make it writable for this user or choose another with --data", path, err)
	case err != nil:
		return nil, fmt.Errorf("lock the data folder %s: %w", path, err)
	case !locked:
		return nil, fmt.Errorf("another server is running on the data folder %s (it holds %s); stop it or choose another folder with --data", path, lock.Path())
	}
	return &Dir{path: path, lock: lock}, nil
}

// Prepare makes the folder at path, with its keys, if there is no database in it
// yet, so that users can be added before the first start.
func Prepare(path string) error {
	if !(&Dir{path: path}).isNew() {
		return nil
	}
	d, err := Open(path)
	if err != nil {
		return err
	}
	_, err = d.refreshKeys()
	return errors.Join(err, d.Close())
}

// Close lets the lock go. It may be called twice.
func (d *Dir) Close() error { return d.lock.Unlock() }

// Database returns the path of the folder's database.
func (d *Dir) Database() string { return Database(d.path) }

// isNew reports whether the folder has no database yet.
func (d *Dir) isNew() bool {
	_, err := os.Lstat(d.Database())
	return errors.Is(err, fs.ErrNotExist)
}

// readSecret reads a file that only its owner may read. A missing one is an
// fs.ErrNotExist.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if open := info.Mode().Perm() & 0o077; open != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %[1]s, and replace the key if others had access", path, info.Mode().Perm())
	}
	return os.ReadFile(path)
}

func writeSecret(path string, content []byte) error {
	return writeWhole(path, bytes.NewReader(content))
}

// writeWhole makes a file that only its owner may read. It is there whole or not
// at all, whatever happens.
func writeWhole(path string, content io.Reader) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.new") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename durable, where folders can be synced.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
