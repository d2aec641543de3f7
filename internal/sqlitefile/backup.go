package sqlitefile

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/internal/wholefile"
)

// A backup is a tar file of the master key and the database. The database is the last
// file in it, so that an interrupted restore leaves no database behind.
const (
	databaseEntry = "tandem.db"
	keyEntry      = databaseEntry + keySuffix
)

// ScratchPrefix begins the name of the folder in which a backup is made, beside the backup.
const ScratchPrefix = ".tandem-backup-"

// Backup writes a backup of the database at path to a new file that only its owner
// may read. It fails if the file exists. copyDatabase makes a consistent copy of
// the database, which a server may be using. The backup includes the master key if
// there is a key file beside the database. If seal is not nil, it encrypts the backup.
func Backup(ctx context.Context, path, file string, copyDatabase func(ctx context.Context, to string) error,
	seal func(io.Writer) (io.WriteCloser, error),
) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already; a backup overwrites nothing", file)
	}
	scratch, err := os.MkdirTemp(filepath.Dir(file), ScratchPrefix)
	if err != nil {
		return fmt.Errorf("make room for the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	database := filepath.Join(scratch, databaseEntry)
	if err := copyDatabase(ctx, database); err != nil {
		return err
	}
	entries := []entry{{databaseEntry, database}}
	if _, err := os.Stat(path + keySuffix); err == nil {
		entries = []entry{{keyEntry, path + keySuffix}, {databaseEntry, database}}
	}
	whole := filepath.Join(scratch, "backup.tar")
	if err := pack(whole, entries, seal); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := place(whole, file, os.Link); err != nil {
		return fmt.Errorf("put the backup in its place: %w", err)
	}
	return wholefile.SyncFolder(filepath.Dir(file))
}

// place moves the file whole to the name file, unless a file of that name exists. link
// fails on file systems without hard links, such as FAT and many network file systems;
// there place first reserves the name with an empty file.
func place(whole, file string, link func(from, to string) error) error {
	if err := link(whole, file); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	taken, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = taken.Close()
	if err == nil {
		err = os.Rename(whole, file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// An entry is the path of a file, and its name in the backup.
type entry struct{ name, path string }

func pack(to string, entries []entry, seal func(io.Writer) (io.WriteCloser, error)) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	var plain io.WriteCloser = nothingToSeal{f}
	if seal != nil {
		if plain, err = seal(f); err != nil {
			return err
		}
	}
	archive := tar.NewWriter(plain)
	for _, e := range entries {
		if err := packFile(archive, e); err != nil {
			return err
		}
	}
	if err := errors.Join(archive.Close(), plain.Close()); err != nil {
		return err
	}
	return f.Sync()
}

// nothingToSeal passes on what is written to it, and leaves closing to others.
type nothingToSeal struct{ io.Writer }

func (nothingToSeal) Close() error { return nil }

func packFile(archive *tar.Writer, e entry) error {
	f, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: e.name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// Restore creates the database at path from a backup, which open decrypts if need be. It
// fails if there is a database already, and leaves that unchanged. The time of the
// database file is that of the backup. A failure leaves none of the backup's files behind.
func Restore(path, file string, open func(io.Reader) (io.Reader, error)) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	lock, err := NewLock(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if !isNew(path) {
		return fmt.Errorf("%s is there already; restore to a new folder, or move it away first with its -wal, -shm and %s", path, keySuffix)
	}
	plain, err := open(f)
	if err == nil {
		err = unpack(path, plain)
	}
	if errors.Is(err, errNoDatabase) {
		return fmt.Errorf("%s has no database in it: it is no backup, or was cut short", file)
	}
	if err != nil {
		return fmt.Errorf("read the backup %s: %w", file, err)
	}
	return wholefile.SyncFolder(filepath.Dir(path))
}

func isNew(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

var errNoDatabase = errors.New("no database")

// unpack creates the files of a backup. If it fails, it removes what it has created.
func unpack(path string, plain io.Reader) (err error) {
	archive := tar.NewReader(plain)
	var made []string
	defer func() {
		if err != nil { // the key of a database that is not there would be in the way of the next try
			for _, file := range made {
				err = errors.Join(err, os.Remove(file))
			}
		}
	}()
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			if !slices.Contains(made, path) {
				return errNoDatabase
			}
			_, err := io.Copy(io.Discard, plain) // a seal tells at its end whether something is missing
			return err
		}
		if err != nil {
			return err
		}
		switch header.Name {
		case databaseEntry:
			err = unpackFile(path, archive, header.ModTime)
		case keyEntry:
			err = unpackFile(path+keySuffix, archive, header.ModTime)
		default:
			err = fmt.Errorf("%q does not belong in a backup", header.Name)
		}
		if err != nil {
			return err
		}
		made = append(made, map[string]string{databaseEntry: path, keyEntry: path + keySuffix}[header.Name])
	}
}

// unpackFile creates a file with the time of the backup, either complete or not at all.
func unpackFile(path string, content io.Reader, at time.Time) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", path)
	}
	if err := wholefile.WriteFrom(path, content, 0o600); err != nil {
		return err
	}
	if err := os.Chtimes(path, at, at); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
