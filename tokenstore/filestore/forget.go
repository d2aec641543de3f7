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

// lockPatience is how long [Forget] waits for a process that writes, which takes
// milliseconds.
const lockPatience = 2 * time.Second

// Forget removes the session file at path whatever it has in it, and what killed
// processes have left half written beside it: the way out where [Open] returns
// [ErrUnusable]. Without a file, it returns nil. The server is not told.
//
// Only a regular file is removed. What else is at path stays, and the error is an
// [UnsafeError]: a link too, for what it leads to may be anything. A permission that is
// denied is an [UnsafeError] that says who owns what is in the way. If the lock of those
// who write the file could not be had, the file is removed all the same, and the error
// says that another process may write it anew.
func Forget(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find the session file: %w", err)
	}
	path = resolveFolder(path)
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
		// What is half written may be there all the same.
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

// remove removes the file, durably. It may be gone already.
func remove(path string) error {
	folder := filepath.Dir(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget the session: %w", wholefile.Mounted(path, explain(path, folder, err)))
	}
	return wholefile.SyncFolder(folder)
}

// abandoned is how old a half-written file is that nobody writes any more where there
// are no locks: a write takes milliseconds.
const abandoned = time.Hour

// tidyAge is the age from which on a half-written file is nobody's: any, if the lock is
// held, for nobody else writes then.
func tidyAge(alone bool) time.Duration {
	if alone {
		return 0
	}
	return abandoned
}

// lock waits for the lock beside the session file whose name ends in suffix. alone
// says that it is held, as it is not where the file system has no locks.
func (s *Store) lock(ctx context.Context, suffix string) (unlock func(), alone bool, err error) {
	place := s.path + suffix
	if info, err := os.Stat(place); err == nil && !info.Mode().IsRegular() {
		return nil, false, notAFile(place, info.Mode()) // to open a named pipe could take for ever
	}
	unlock, alone, err = filelock.Lock(ctx, place)
	return unlock, alone, explain(s.path, place, err)
}
