// Package filestore keeps a session's pair in a file. One process or many may use the
// file: all of them use the tokens that one of them has refreshed.
//
// The file holds the whole pair as one JSON document. The store replaces and syncs the
// file as a whole, so that a crash leaves the old pair or the new one. Only its owner
// may read it (mode 0600, in a folder of mode 0700); the store refuses a file that
// others can read, and a folder in which everybody can replace the file. Two lock files
// lie beside it, NAME.lock and NAME.swap. The system releases the locks when a process
// ends, even if it is killed; the store never deletes the lock files. If a process is
// killed while it writes, a later process removes its temporary file, NAME.*.new.
//
// On a file system without locks, such as some network file systems, several processes
// may refresh at the same time. Tandem's server tolerates that, because each process
// reads the file before it refreshes. A file that is a mount of its own, as with docker
// -v FILE:FILE, cannot be replaced: mount its folder.
//
// For a file with the wrong owner or mode the error is an [UnsafeError], which says how
// to correct it. The error for every file that cannot be used as it is matches
// [ErrUnusable]; [Forget] removes such a file.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/wholefile"
	"github.com/tandem-auth/tandem/tokenstore/internal/document"
)

// A Store keeps a pair in a file. It is a [tandem.Store] and a [tandem.Locker], and
// safe for concurrent use, also by several processes.
type Store struct{ path string }

// Suffixes of the lock files beside the store's file.
const (
	refreshSuffix = ".lock" // held around a refresh
	swapSuffix    = ".swap" // held while the file is read, compared and replaced
)

// maxSize bounds how many bytes the store reads of a file that it may not have written.
const maxSize = 1 << 20

// Open returns the store in the file at path. It creates the folder; the file need not
// exist yet. The error names the file and says what to do. It matches [ErrUnusable] if
// others can read the file, if the file belongs to another user, is damaged, was
// written by a newer version or is not a regular file, or if everybody can write its
// folder.
func Open(path string) (*Store, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := makeFolder(path); err != nil {
		return nil, err
	}
	s := &Store{path: path}
	if _, err := s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

// Path returns the absolute path of the file, with links resolved.
func (s *Store) Path() string { return s.path }

// Load returns the pair in the file, or the zero Pair if there is no file.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	if err := ctx.Err(); err != nil {
		return tandem.Pair{}, err
	}
	if runtime.GOOS == "windows" { // where nobody can replace a file that is open
		unlock, _, err := s.lock(ctx, swapSuffix)
		if err != nil {
			return tandem.Pair{}, err
		}
		defer unlock()
	}
	return s.read()
}

// CompareAndSwap replaces the pair in the file if the file holds prev, and removes the
// file if next is the zero Pair. When it returns, the change is on the disk.
func (s *Store) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	unlock, alone, err := s.lock(ctx, swapSuffix)
	if err != nil {
		return false, err
	}
	defer unlock()
	kept, err := s.read()
	if err != nil || kept.RefreshToken != prev.RefreshToken {
		return false, err
	}
	wholefile.Tidy(s.path, tidyAge(alone))
	if next.IsZero() {
		err := remove(s.path)
		return err == nil, err
	}
	if err := s.write(next); err != nil {
		return false, fmt.Errorf("keep the session: %w", err)
	}
	return true, nil
}

// Lock waits until no other process, and no other caller in this process, refreshes the
// pair. On a file system without locks it returns at once and without an error.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	unlock, _, err = s.lock(ctx, refreshSuffix)
	return unlock, err
}

func (s *Store) read() (tandem.Pair, error) {
	f, info, err := openFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return tandem.Pair{}, nil
	}
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("read the session: %w", err)
	}
	defer f.Close()
	if err := readableByOthers(s.path, info); err != nil {
		return tandem.Pair{}, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("read the session: %w", err)
	}
	pair, err := document.Parse(text)
	if err != nil {
		return tandem.Pair{}, unusableError{fmt.Errorf("%s %w", s.path, err)}
	}
	return pair, nil
}

func (s *Store) write(pair tandem.Pair) error {
	text, err := document.Marshal(pair)
	if err != nil {
		return err
	}
	err = wholefile.Write(s.path, append(text, '\n'), 0o600)
	return explain(s.path, filepath.Dir(s.path), err)
}
