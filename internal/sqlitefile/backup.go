package datadir

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A backup is a tar file of what a folder holds. The database is the last file in
// it, so that a folder that is being restored is new until all is there.

// Backup writes a backup of the folder at path to a new file that only its owner
// may read. copyDatabase makes a consistent copy of the database, which may be in
// use.
func Backup(ctx context.Context, path, file string, copyDatabase func(ctx context.Context, to string) error) (err error) {
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already; a backup overwrites nothing", file)
	}
	scratch, err := os.MkdirTemp(filepath.Dir(file), ".tandem-backup-")
	if err != nil {
		return fmt.Errorf("make room for the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	database := filepath.Join(scratch, databaseFile)
	if err := copyDatabase(ctx, database); err != nil {
		return err
	}
	keys, err := keyFiles(path)
	if err != nil {
		return err
	}
	whole := filepath.Join(scratch, "backup.tar")
	if err := pack(whole, append(keys, database)); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := os.Link(whole, file); err != nil { // fails if somebody was faster
		return fmt.Errorf("put the backup in its place: %w", err)
	}
	return syncFolder(filepath.Dir(file))
}

// keyFiles returns the paths of a folder's keys.
func keyFiles(path string) ([]string, error) {
	signing, err := filepath.Glob(filepath.Join(path, "signing-*.pem"))
	if err != nil {
		return nil, err
	}
	refresh := filepath.Join(path, refreshFile)
	if _, err := os.Stat(refresh); err != nil {
		return nil, fmt.Errorf("find the keys: %w", err)
	}
	return append([]string{refresh}, signing...), nil
}

func pack(to string, files []string) (err error) {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	archive := tar.NewWriter(f)
	for _, path := range files {
		if err := packFile(archive, path); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return f.Sync()
}

func packFile(archive *tar.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: filepath.Base(path), Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// Restore makes the folder at path from a backup. A folder that has a database is
// left alone.
func Restore(path, file string) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("open the backup: %w", err)
	}
	defer f.Close()
	d, err := Open(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	if !d.isNew() {
		return fmt.Errorf("%s is there already; restore to a new folder, or move it away first with its -wal and -shm", d.Database())
	}
	if err := d.unpack(tar.NewReader(f)); err != nil {
		return fmt.Errorf("read the backup %s: %w", file, err)
	}
	if d.isNew() {
		return fmt.Errorf("%s has no database in it: it is no backup, or was cut short", file)
	}
	return syncFolder(path)
}

func (d *Dir) unpack(archive *tar.Reader) error {
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !isOurs(header.Name) {
			return fmt.Errorf("%q does not belong in a backup", header.Name)
		}
		if err := unpackFile(filepath.Join(d.path, header.Name), archive); err != nil { //nolint:gosec // isOurs lets no path through
			return err
		}
	}
}

func isOurs(name string) bool {
	isKey, _ := filepath.Match("signing-*.pem", name)
	return name == databaseFile || name == refreshFile || isKey && !strings.ContainsAny(name, `/\`)
}

// unpackFile makes a file, whole or not at all.
func unpackFile(path string, content io.Reader) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s is there already", path)
	}
	return writeWhole(path, content)
}
