// Package sqlitestore keeps sessions, the users of the embedded directory and the
// server's keys in one SQLite file.
//
// When a method returns without an error, its change is on the disk: the file is in WAL
// mode and SQLite syncs every commit. Only one server may work on a file at a time; the
// commands that manage users may run beside it.
//
// A commit takes less time if SQLite syncs with fdatasync, and is as durable. SQLite
// has one such setting for the whole process, so your program has to make it: call
// Fdatasync(true) of modernc.org/sqlite.
package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/tandem-auth/tandem/store"
)

// A Store is an open database file. Its methods are safe for concurrent use. Their
// errors name the file, and say what the operator can do where that is known: when the
// disk is full, or the file is damaged or may not be written.
type Store struct {
	path string
	// SQLite allows one writer at a time, and so does the store: its writes queue in
	// writer, where a context can end the wait, and not in SQLite's busy handler, where
	// it cannot.
	db     *sql.DB
	writer *writer
	reader *sql.DB
	// The statements of each refresh, of reader.
	get, userByName *sql.Stmt
	// swept is the number of the last row at which sweepIdle has looked.
	swept atomic.Int64
}

// Open opens the database at path. It creates a missing file for its owner alone, and
// migrates the schema. Open a file only once in a process, and read the file through
// nothing else in that process: closing any handle of a file releases all locks that
// the process holds on the file.
func Open(ctx context.Context, path string) (_ *Store, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("find the database: %w", err)
	}
	if err := touch(path); err != nil {
		return nil, err
	}
	s := &Store{path: path}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.db, err = sql.Open("sqlite", dsn(path, "_txlock=immediate")); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	s.db.SetMaxOpenConns(1)
	if err := s.connect(ctx); err != nil {
		return nil, err
	}
	if err := s.check(ctx); err != nil {
		return nil, err
	}
	if err := s.migrate(ctx); err != nil {
		return nil, err
	}
	if s.reader, err = sql.Open("sqlite", dsn(path, "_pragma=query_only(1)")); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	readers := max(4, runtime.GOMAXPROCS(0))
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if s.get, err = s.reader.PrepareContext(ctx, selectByID); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	if s.userByName, err = s.reader.PrepareContext(ctx, selectUser); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	if s.writer, err = newWriter(ctx, s.db); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	// The operator should learn now, not at the first sign-in, that the file cannot be
	// written.
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

// touch creates the file, because SQLite would let others read it. SQLite gives the
// files beside it the same mode. touch does not open an existing file; Open explains
// why.
func touch(path string) error {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return fmt.Errorf("database %s is a directory", path)
	case err == nil && !info.Mode().IsRegular(): // opening a named pipe could hang
		return fmt.Errorf("database %s is not a regular file", path)
	case err == nil:
		return nil
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist) && isDangling(path):
		return fmt.Errorf("database %s is a link to a file that is not there: make its folder and the file, or remove the link", path)
	case errors.Is(err, fs.ErrExist): // another process was faster
		return nil
	case err != nil:
		return fmt.Errorf("make the database: %w", err)
	}
	return f.Close()
}

// isDangling reports whether path is a link without a target. SQLite would create the
// target with a mode that lets others read it.
func isDangling(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return false
	}
	_, err = os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// busyTimeout is how long a connection waits while another process holds the lock.
const busyTimeout = 5 * time.Second

// dsn returns the data source name for the driver. As a URI, it may contain any
// character of the path.
func dsn(path, option string) string {
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' { // C:/…
		slashed = "/" + slashed
	}
	u := url.URL{
		Scheme: "file",
		Path:   slashed,
		RawQuery: fmt.Sprintf("_pragma=busy_timeout(%d)", busyTimeout.Milliseconds()) +
			"&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)&" + option,
	}
	return u.String()
}

// connect opens the first connection, which puts a new file into WAL mode. If another
// process does the same at that moment, SQLite fails instead of waiting, so connect
// tries again.
func (s *Store) connect(ctx context.Context) error {
	for until := time.Now().Add(busyTimeout); ; {
		err := s.db.PingContext(ctx)
		if !isBusy(err) || time.Now().After(until) {
			return s.explain(ctx, "open", err)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return s.explain(ctx, "open", ctx.Err())
		}
	}
}

// quickCheckLimit is the size up to which Open checks the whole file. Checking a larger
// file would delay the start by seconds.
const quickCheckLimit = 64 << 20

// check detects a damaged file before the store writes to it.
func (s *Store) check(ctx context.Context) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return s.explain(ctx, "check", err)
	}
	check := "PRAGMA schema_version"
	if info.Size() <= quickCheckLimit {
		check = "PRAGMA quick_check(1)"
	}
	var found string
	if err := s.db.QueryRowContext(ctx, check).Scan(&found); err != nil {
		return s.explain(ctx, "check", err)
	}
	if info.Size() <= quickCheckLimit && found != "ok" {
		return s.damaged(errors.New(found))
	}
	return nil
}

// Ping reports whether the database can be written, by writing to it.
func (s *Store) Ping(ctx context.Context) error {
	// SQLite writes nothing if nothing changes.
	_, err := s.exec(ctx, "ping", `UPDATE health SET pinged_at = max(pinged_at + 1, ?)`, time.Now().UnixMilli())
	return err
}

// Backup writes a consistent copy of the database to a new file, while others read and
// write the database. The copy is a single file without a WAL, and only its owner may
// read it.
func (s *Store) Backup(ctx context.Context, to string) error {
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // VACUUM would let others read it
	if err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("back up: %w", err)
	}
	// The readers' connections are read-only, which forbids writing to another file,
	// too.
	db, err := sql.Open("sqlite", dsn(s.path, "_txlock=deferred"))
	if err != nil {
		return s.explain(ctx, "back up", err)
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return s.explain(ctx, "back up", errors.Join(err, db.Close()))
}

// Verify reads the whole database, and reports what is damaged. It may take long.
func (s *Store) Verify(ctx context.Context) error {
	var found string
	if err := s.reader.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return s.explain(ctx, "check", err)
	}
	if found != "ok" {
		return s.damaged(errors.New(found))
	}
	return nil
}

// Count returns how many users there are, and how many sessions that neither have ended nor
// expired at a time.
func (s *Store) Count(ctx context.Context, at time.Time) (users, sessions int, _ error) {
	err := s.reader.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM users),
		(SELECT count(*) FROM sessions WHERE ended_at IS NULL AND expires_at > ?)`, at.UnixMilli()).Scan(&users, &sessions)
	return users, sessions, s.explain(ctx, "count users and sessions", err)
}

// Close closes the file. It may be called twice.
func (s *Store) Close() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	for _, statement := range []*sql.Stmt{s.get, s.userByName} {
		if statement != nil {
			errs = append(errs, statement.Close())
		}
	}
	for _, db := range []*sql.DB{s.reader, s.db} { // the writer's connection last: closing it removes the WAL
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return s.explain(context.Background(), "close", errors.Join(errs...))
}

// exec runs one statement and returns how many rows it changed.
func (s *Store) exec(ctx context.Context, doing, statement string, args ...any) (int64, error) {
	n, err := s.writer.do(ctx, write{statement: statement, args: args})
	return n, s.explain(ctx, doing, err)
}

// query is exec for a statement that returns the row that it changed; the writer passes
// that row to scan. If ctx ends first, the writer may still call scan.
func (s *Store) query(ctx context.Context, doing string, scan func(row) error, statement string, args ...any) (int64, error) {
	n, err := s.writer.do(ctx, write{statement: statement, args: args, scan: scan})
	return n, s.explain(ctx, doing, err)
}

// exec1 is exec for a statement that changes one row; if it changes none, the error is
// [store.ErrNotFound].
func (s *Store) exec1(ctx context.Context, doing, statement string, args ...any) error {
	n, err := s.exec(ctx, doing, statement, args...)
	if err == nil && n == 0 {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// A row is what *sql.Row and *sql.Rows have in common.
type row interface{ Scan(dest ...any) error }

// collect runs a query and scans its rows.
func collect[T any](ctx context.Context, s *Store, doing string, scan func(row) (T, error), query string, args ...any) (_ []T, err error) {
	rows, err := s.reader.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, s.explain(ctx, doing, err)
	}
	defer func() { err = errors.Join(err, s.explain(ctx, doing, rows.Close())) }()
	var found []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, s.explain(ctx, doing, err)
		}
		found = append(found, one)
	}
	return found, s.explain(ctx, doing, rows.Err())
}
