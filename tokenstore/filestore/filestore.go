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
// refreshes.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/internal/document"
	"github.com/tandem-auth/tandem/tokenstore/internal/filelock"
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
// folder is made. The error names the file, and says what to do: it may be
// readable by others, damaged, written by a newer version, or in a folder that
// everybody can write.
func Open(path string) (*Store, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if err := makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	s := &Store{path: path}
	if _, err := s.read(); err != nil {
		return nil, err
	}
	return s, nil
}

// makeFolder makes the folder, and refuses one in which everybody can replace files.
// In one like /tmp, whose files only their owners can replace, nobody can.
func makeFolder(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("make the folder for the session: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("look at the folder for the session: %w", err)
	}
	if mode := info.Mode(); mode.Perm()&0o002 != 0 && mode&fs.ModeSticky == 0 && runtime.GOOS != "windows" {
		return fmt.Errorf("everybody can write the folder %s (mode %04o), and put another session in place of yours: run chmod o-w %[1]s", path, mode.Perm())
	}
	return nil
}

// mostLinks is how many symbolic links to one another are followed.
const mostLinks = 40

// resolve follows symbolic links, to a file that need not be there, so that the file is
// replaced and not the link, and all processes lock the same.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("find the session file: %w", err)
	}
	for range mostLinks {
		if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(folder, filepath.Base(path))
		}
		target, isLink := readLink(path)
		if !isLink {
			return path, nil
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return "", fmt.Errorf("find the session file: %s is one of too many links", path)
}

func readLink(path string) (target string, isLink bool) {
	target, err := os.Readlink(path)
	return target, err == nil
}

// Path returns where the file is.
func (s *Store) Path() string { return s.path }

// Load returns the pair in the file, or the zero Pair if there is no file.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	if err := ctx.Err(); err != nil {
		return tandem.Pair{}, err
	}
	if runtime.GOOS == "windows" { // where a file that is open cannot be replaced
		unlock, _, err := filelock.Lock(ctx, s.path+swapSuffix)
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
	unlock, alone, err := filelock.Lock(ctx, s.path+swapSuffix)
	if err != nil {
		return false, err
	}
	defer unlock()
	kept, err := s.read()
	if err != nil || kept.RefreshToken != prev.RefreshToken {
		return false, err
	}
	s.tidy(alone)
	if next.IsZero() {
		if err := os.Remove(s.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("forget the session: %w", err)
		}
		return true, syncFolder(filepath.Dir(s.path))
	}
	if err := s.write(next); err != nil {
		return false, fmt.Errorf("keep the session: %w", err)
	}
	return true, nil
}

// Lock waits until no other process, and no other caller in this one, refreshes the
// pair. Without a word it does not where the file system has no locks.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	unlock, _, err = filelock.Lock(ctx, s.path+refreshSuffix)
	return unlock, err
}

func (s *Store) read() (tandem.Pair, error) {
	f, err := os.Open(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return tandem.Pair{}, nil
	}
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("read the session: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("read the session: %w", err)
	}
	if !info.Mode().IsRegular() {
		return tandem.Pair{}, fmt.Errorf("%s is not a file", s.path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return tandem.Pair{}, fmt.Errorf("%s can be read by others (mode %04o): run chmod 600 %[1]s, and sign out everywhere if others had access", s.path, mode)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSize))
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("read the session: %w", err)
	}
	pair, err := document.Parse(text)
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("%s %w", s.path, err)
	}
	return pair, nil
}

// What the name of a file that is being written has around a random number.
func (s *Store) halfWritten() (before, after string) { return filepath.Base(s.path) + ".", ".new" }

// abandoned is how old a half-written file is that nobody writes any more where there
// are no locks: a write takes milliseconds.
const abandoned = time.Hour

// tidy removes what killed processes have left half written: there are tokens in it.
// Nobody else writes if the lock is held: alone says so. What cannot be removed now, the
// next call removes.
func (s *Store) tidy(alone bool) {
	folder := filepath.Dir(s.path)
	entries, err := os.ReadDir(folder)
	if err != nil {
		return
	}
	before, after := s.halfWritten()
	for _, entry := range entries {
		rest, isOurs := strings.CutPrefix(entry.Name(), before)
		number, isNew := strings.CutSuffix(rest, after)
		if !isOurs || !isNew || strings.Trim(number, "0123456789") != "" {
			continue
		}
		if info, err := entry.Info(); alone || err == nil && time.Since(info.ModTime()) > abandoned {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}

func (s *Store) write(pair tandem.Pair) (err error) {
	before, after := s.halfWritten()
	f, err := os.CreateTemp(filepath.Dir(s.path), before+"*"+after) // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	text, err := document.Marshal(pair)
	if err != nil {
		return err
	}
	if _, err := f.Write(append(text, '\n')); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), s.path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(s.path))
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
	return errors.Join(d.Sync(), d.Close())
}
