package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tandem-auth/tandem/store"
)

// explain adds to an error which file the store was using, what for, and what the
// operator can do. It returns nil for nil.
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", doing, ctx.Err())
	}
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return fmt.Errorf("%s: database %s: %w", doing, s.path, err)
	}
	switch code := failure.Code(); code {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return fmt.Errorf("%s: %w", doing, store.ErrExists)
	default:
		return fmt.Errorf("%s: %w", doing, s.explainCode(code&0xff, err))
	}
}

// endsTransaction reports whether an error of a statement affects the whole
// transaction: the disk, the file or the lock failed.
func endsTransaction(err error) bool {
	var failure *sqlite.Error
	if !errors.As(err, &failure) {
		return false
	}
	switch failure.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG:
		return false
	}
	return true
}

func isBusy(err error) bool {
	var failure *sqlite.Error
	return errors.As(err, &failure) && failure.Code()&0xff == sqlite3.SQLITE_BUSY
}

// explainCode chooses the explanation by SQLite's primary result code.
func (s *Store) explainCode(code int, err error) error {
	if code == sqlite3.SQLITE_CANTOPEN && mayWrite(s.path) {
		return fmt.Errorf("database %s cannot be opened, though this user may write it (%w); does the process have too many open files? "+
			"Raise their limit (ulimit -n, LimitNOFILE=)", s.path, err)
	}
	switch code {
	case sqlite3.SQLITE_FULL:
		return fmt.Errorf("database %s: the disk is full (%w); free some space, and Tandem continues by itself", s.path, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN:
		return fmt.Errorf("database %s cannot be written (%w); make the file and its folder writable for this user", s.path, err)
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return s.damaged(err)
	case sqlite3.SQLITE_BUSY:
		return fmt.Errorf("database %s is being written by another program (%w); try again when that is done", s.path, err)
	default:
		return fmt.Errorf("database %s: %w", s.path, err)
	}
}

func (s *Store) damaged(err error) error {
	return fmt.Errorf("database %s is damaged, or not a SQLite database (%w); move it away, and put a backup in its place", s.path, err)
}
