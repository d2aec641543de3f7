// Package filestore keeps a session's pair in a file, for one process or for many:
// what one of them refreshes the others use.
//
// The file has the whole pair in one JSON document. It is replaced as a whole and
// synced, so that a crash leaves the old pair or the new one; it is for its owner
// alone (mode 0600, in a folder of mode 0700), and one that others can read is
// refused, as is a folder in which everybody can put another in its place. Beside it
// lie two files for locks, NAME.lock and NAME.swap, which the system gives free when a
// process ends, however it ends; they are never deleted. What a process that was killed
// has left half written, NAME.*.new, a later one removes.
//
// On a file system without locks, such as some network ones, several processes may
// refresh at once. The server forgives that: each reads the file before it
// refreshes. A file that is mounted by itself, as with docker -v FILE:FILE, cannot be
// replaced: mount its folder.
//
// A file of the wrong owner or mode is an [UnsafeError], which says what puts it right.
// What cannot be used at all matches [ErrUnusable]; [Forget] is the way out.
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

// A Store is a file. It is a [tandem.Store] and a [tandem.Locker], and safe for
// concurrent use, by several processes too.
type Store struct{ path string }

// What the names of the files beside the store's end in.
const (
	refreshSuffix = ".lock" // held around a refresh
	swapSuffix    = ".swap" // held while the file is read, compared and replaced
)

// maxSize bounds what is read of a file that is none of ours.
const maxSize = 1 << 20

// Open returns the store in the file at path, which need not be there yet; its
// folder is made. The error names the file, and says what to do. It matches
// [ErrUnusable] if the file is readable by others, another user's, damaged, written by a
// newer version or no file, or if everybody can write its folder.
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

// Path returns where the file is.
func (s *Store) Path() string { return s.path }

// Load returns the pair in the file, or the zero Pair if there is no file.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	if err := ctx.Err(); err != nil {
		return tandem.Pair{}, err
	}
	if runtime.GOOS == "windows" { // where a file that is open cannot be replaced
		unlock, _, err := s.lock(ctx, swapSuffix)
		if err != nil {
			return tandem.Pair{}, err
		}
		defer unlock()
	}
	return s.read()
}

// CompareAndSwap replaces the file if it has prev, and removes it for the zero Pair.
// What it has written is on the disk once it returns.
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

// Lock waits until no other process, and no other caller in this one, refreshes the
// pair. Without a word it does not where the file system has no locks.
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
