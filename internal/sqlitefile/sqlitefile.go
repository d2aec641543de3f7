// Package sqlitefile manages the files around a server's SQLite database: the
// folder, the lock that keeps a second server out, the file of the master key, and
// backups.
package sqlitefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/tandem-auth/tandem/internal/wholefile"
	"github.com/tandem-auth/tandem/keys"
)

// The suffixes of the files beside the database.
const (
	lockSuffix = ".lock"
	keySuffix  = ".key"
)

// A Lock is this process's exclusive right to run a server on a database file.
type Lock struct {
	path string
	lock *flock.Flock
}

// MakeFolder creates the folder of the database at path, accessible to its owner only,
// unless it exists.
func MakeFolder(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}

// NewLock locks the database at path for a server. It creates the folder if need be;
// the database file need not exist. The error names the folder or the file.
func NewLock(path string) (*Lock, error) {
	if err := MakeFolder(path); err != nil {
		return nil, err
	}
	// Close does not delete the lock file: otherwise two servers could each lock a
	// different file of that name.
	lock := flock.New(path+lockSuffix, flock.SetPermissions(0o600))
	locked, err := lock.TryLock()
	switch {
	case errors.Is(err, fs.ErrPermission) || isReadOnly(err):
		return nil, fmt.Errorf("data folder %s cannot be written: %w; make it writable for this user, or choose another place with --data or --store", filepath.Dir(path), err)
	case err != nil:
		return nil, fmt.Errorf("lock the database %s: %w", path, err)
	case !locked:
		return nil, fmt.Errorf("another server is running on the database %s (it holds %s); stop it, or choose another place with --data or --store", path, lock.Path())
	}
	return &Lock{path: path, lock: lock}, nil
}

// Close releases the lock. It may be called twice.
func (l *Lock) Close() error { return l.lock.Unlock() }

// MasterKeys returns the master keys in the file beside the database. If there is no such
// file and mayMake is true, it creates the file with a new key. The caller sets mayMake
// only if the database contains no keys sealed under an older master key.
func (l *Lock) MasterKeys(mayMake bool) ([]keys.MasterKey, error) {
	path := l.path + keySuffix
	found, err := ReadMasterKeys(path)
	switch {
	case !errors.Is(err, fs.ErrNotExist):
		return found, err
	case !mayMake:
		return nil, fmt.Errorf("%s is missing, and what it was made for is in %s: put it back from the backup, "+
			"or move the database away, which signs everybody out", path, l.path)
	}
	made, err := keys.NewMasterKey()
	if err != nil {
		return nil, err
	}
	if err := wholefile.Write(path, made.Marshal(), 0o600); err != nil {
		return nil, fmt.Errorf("write the master key: %w", err)
	}
	return []keys.MasterKey{made}, nil
}

// KeyFile returns the path of the file with the master key of the database at path.
func KeyFile(path string) string { return path + keySuffix }

// MasterKeysBeside returns the master keys in the file beside the database at path. It
// takes no lock: a server may be running on the database.
func MasterKeysBeside(path string) ([]keys.MasterKey, error) { return ReadMasterKeys(path + keySuffix) }

// ReadMasterKeys reads a file of master keys. It fails if other users of the machine can
// read the file, unless a platform (Docker, Kubernetes, systemd) has mounted it as a
// secret. The error wraps [fs.ErrNotExist] if there is no such file.
func ReadMasterKeys(path string) ([]keys.MasterKey, error) {
	text, err := readSecret(path)
	if err != nil {
		return nil, fmt.Errorf("read the master key: %w", err)
	}
	found, err := keys.ParseMasterKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w; put it back from the backup", path, err)
	}
	return found, nil
}

// WriteMasterKey writes a master key to a new file that only its owner may read. It fails
// if the file exists.
func WriteMasterKey(path string, key keys.MasterKey) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already; a master key overwrites nothing", path)
	}
	return wholefile.Write(path, key.Marshal(), 0o600)
}
