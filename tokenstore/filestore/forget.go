package filestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-auth/tandem/internal/wholefile"
	"github.com/tandem-auth/tandem/tokenstore/internal/filelock"
)

// lockPatience is how long [Forget] waits for a process that holds the lock to write,
// which takes milliseconds.
const lockPatience = 2 * time.Second

// Forget removes the session file at path whatever it contains, and the temporary files
// of killed processes beside it. Use it when [Open] returns [ErrUnusable]. If there is
// no file, it returns nil. It does not tell the server.
//
// Forget removes only a regular file. It leaves anything else at path, also a link,
// whose target could be any file, and returns an [UnsafeError]. If the system denies a
// permission, the error is an [UnsafeError] that names the owner of the file or folder.
// If Forget cannot get the lock of the processes that write the file, it removes the
// file nevertheless, and the error says that another process may write it again.
func Forget(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find the session file: %w", err)
	}
	path = resolveFolder(path)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		// There may be temporary files although there is no session file.
		if _, err := os.Lstat(filepath.Dir(path)); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
	case err != nil:
		return fmt.Errorf("forget the session: %w", explain(path, path, err))
	case info.Mode().Type() == fs.ModeSymlink:
		target, _ := readLink(path)
		return &UnsafeError{Path: path, Problem: "is a link to " + target, Cure: "remove the link, and forget the session at the place that it leads to if it is yours"}
	case !info.Mode().IsRegular():
		return notAFile(path, info.Mode())
	}

	ctx, cancel := context.WithTimeout(context.Background(), lockPatience)
	defer cancel()
	unlock, alone, lockErr := (&Store{path: path}).lock(ctx, swapSuffix)
	if lockErr == nil {
		defer unlock()
	}
	if err := remove(path); err != nil {
		return errors.Join(err, lockErr)
	}
	wholefile.Tidy(path, tidyAge(alone))
	if lockErr != nil {
		return fmt.Errorf("the session file is removed, but a process that is writing it may put it back: %w", lockErr)
	}
	return nil
}

// remove removes the file and syncs the folder. It is no error if the file is gone
// already.
func remove(path string) error {
	folder := filepath.Dir(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the session: %w", wholefile.Mounted(path, explain(path, folder, err)))
	}
	return wholefile.SyncFolder(folder)
}

// abandoned is the age at which a temporary file counts as left behind, on a file
// system without locks: a write takes milliseconds.
const abandoned = time.Hour

// tidyAge returns the age from which on temporary files may be removed: any age if the
// lock is held, since no other process writes then.
func tidyAge(alone bool) time.Duration {
	if alone {
		return 0
	}
	return abandoned
}

// lock waits for the lock in the file whose name is the session file's with suffix.
// alone is whether the lock is held; it is false on a file system without locks.
func (s *Store) lock(ctx context.Context, suffix string) (unlock func(), alone bool, err error) {
	place := s.path + suffix
	if info, err := os.Stat(place); err == nil && !info.Mode().IsRegular() {
		return nil, false, notAFile(place, info.Mode()) // opening a named pipe could hang
	}
	unlock, alone, err = filelock.Lock(ctx, place)
	return unlock, alone, explain(s.path, place, err)
}
