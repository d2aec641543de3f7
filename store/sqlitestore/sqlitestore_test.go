package sqlitestore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/sqlitestore"
	"github.com/tandem-auth/tandem/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB) func() server.Store {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() server.Store { return open(t, path) }
	})
	storetest.RunUsers(t, func(t testing.TB) func() directory.Users {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() directory.Users { return open(t, path) }
	})
	storetest.RunAudit(t, func(t testing.TB) func() audit.Store {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() audit.Store { return open(t, path) }
	})
	storetest.RunKeys(t, func(t testing.TB) func() keys.Store {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() keys.Store { return open(t, path) }
	})
	storetest.RunOnce(t, func(t testing.TB) func() server.OnceStore {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() server.OnceStore { return open(t, path) }
	})
	storetest.RunClients(t, func(t testing.TB) func() clients.Store {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() clients.Store { return open(t, path) }
	})
	storetest.RunEnded(t, func(t testing.TB) func() *sqlitestore.Store {
		path := filepath.Join(t.TempDir(), "tandem.db")
		return func() *sqlitestore.Store { return open(t, path) }
	})
}

func open(t testing.TB, path string) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func someSession() store.Session {
	now := time.Now()
	return store.Session{
		ID:      rotation.SessionID{1},
		State:   rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)},
		Subject: "ann", CreatedAt: now,
	}
}

func TestAPathMayHaveAnyCharacters(t *testing.T) {
	for _, name := range []string{"a b", "100%", "what?mode=memory", "#1", "文件", "a&b=c;d"} {
		path := filepath.Join(t.TempDir(), name)
		if err := open(t, path).Create(t.Context(), someSession()); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
		if _, err := open(t, path).Get(t.Context(), someSession().ID); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTheFilesAreForTheirOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such modes")
	}
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "tandem.db"))
	if err := s.Create(t.Context(), someSession()); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v; want a database and its WAL", files, err)
	}
	for _, file := range files {
		info, err := file.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", file.Name(), info.Mode().Perm())
		}
	}
}

// A server and a command that start at the same time after an upgrade both migrate the
// database. The copy that is kept for the way back has the schema before.
func TestManyMayUpgradeADatabaseAtOnce(t *testing.T) {
	for range 3 {
		path := filepath.Join(t.TempDir(), "tandem.db")
		damage(t, path, 0, 0)
		_, known, err := sqlitestore.Schema(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		run(t, path, `DROP TABLE audit; ALTER TABLE users DROP COLUMN roles; ALTER TABLE users DROP COLUMN disabled_at;
			ALTER TABLE users DROP COLUMN unlocked_at; DELETE FROM goose_db_version WHERE version_id = 5`)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				s, err := sqlitestore.Open(t.Context(), path)
				if err != nil {
					t.Error(err)
					return
				}
				_ = s.Close()
			})
		}
		all.Wait()
		has, _, err := sqlitestore.Schema(t.Context(), fmt.Sprintf("%s.before-schema-%d", path, known))
		if err != nil || has != 4 {
			t.Errorf("the copy has schema %d, %v; want 4", has, err)
		}
	}
}

// Open refuses each of these paths with an error that names the file, and leaves the
// file unchanged.
func TestOpenRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(t *testing.T, path string)
		want    string
	}{
		"a file that is no database": {
			func(t *testing.T, path string) { write(t, path, []byte(strings.Repeat("not a database ", 1000))) },
			"is damaged, or not a SQLite database",
		},
		"a database with a damaged header": {
			func(t *testing.T, path string) { damage(t, path, 0, 64) },
			"is damaged, or not a SQLite database",
		},
		"a database with a damaged page": {
			func(t *testing.T, path string) { damage(t, path, 4096, 8192) },
			"is damaged, or not a SQLite database",
		},
		"a database that was cut short": {
			func(t *testing.T, path string) {
				damage(t, path, 0, 0)
				if err := os.Truncate(path, 8192); err != nil {
					t.Fatal(err)
				}
			},
			"is damaged, or not a SQLite database",
		},
		"a database of a newer version": {
			func(t *testing.T, path string) {
				damage(t, path, 0, 0)
				run(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)")
			},
			"was written by a newer Tandem (schema 999",
		},
		"a folder": {
			func(t *testing.T, path string) {
				if err := os.Mkdir(path, 0o700); err != nil {
					t.Fatal(err)
				}
			},
			"is a directory",
		},
		"a device": {
			func(t *testing.T, path string) { link(t, os.DevNull, path) },
			"is not a regular file",
		},
		"a link to a file that is not there": {
			func(t *testing.T, path string) { link(t, filepath.Join(filepath.Dir(path), "target"), path) },
			"is a link to a file that is not there",
		},
		"a folder that is not there": {
			func(t *testing.T, path string) {
				if err := os.Remove(filepath.Dir(path)); err != nil {
					t.Fatal(err)
				}
			},
			"no such file or directory",
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "tandem.db")
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			c.prepare(t, path)
			before, _ := os.ReadFile(path)
			s, err := sqlitestore.Open(t.Context(), path)
			if err == nil {
				_ = s.Close()
				t.Fatal("Open has no error")
			}
			for _, part := range []string{path, c.want} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if after, _ := os.ReadFile(path); !bytes.Equal(after, before) {
				t.Error("Open changed the file")
			}
		})
	}
}

// damage creates a database and overwrites some of its bytes.
func damage(t *testing.T, path string, from, to int) {
	t.Helper()
	s, err := sqlitestore.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), someSession()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		content[i] ^= 0x5a
	}
	write(t, path, content)
}

func link(t *testing.T, to, path string) {
	t.Helper()
	if err := os.Symlink(to, path); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run changes a database, bypassing the store.
func run(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func TestTwoMayOpenANewFileAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	done := make(chan error)
	for range 4 {
		go func() {
			s, err := sqlitestore.Open(context.Background(), path)
			if err == nil {
				err = s.Close()
			}
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// A backup made while others write is intact, and contains everything written before it
// began.
func TestABackupOfADatabaseInUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, filepath.Join(dir, "tandem.db"))
	before := someSession()
	if err := s.Create(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for i := range 4 {
		writers.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				session := someSession()
				session.ID = rotation.SessionID{2, byte(i), byte(n >> 8), byte(n)}
				_ = s.Create(ctx, session)
			}
		})
	}
	to := filepath.Join(dir, "copy.db")
	err := s.Backup(t.Context(), to)
	stop()
	writers.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, to).Get(t.Context(), before.ID); err != nil {
		t.Errorf("the session of before: %v", err)
	}
	if err := s.Backup(t.Context(), to); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v, want ErrExist", err)
	}
}

// Writes that share a commit each get a result of their own.
func TestOneBadWriteInABatchFailsAlone(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tandem.db"))
	if err := s.Create(t.Context(), someSession()); err != nil {
		t.Fatal(err)
	}
	var taken, created atomic.Int64
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			session := someSession()
			if i%2 == 0 {
				session.ID = rotation.SessionID{3, byte(i >> 8), byte(i)}
			}
			switch err := s.Create(t.Context(), session); {
			case err == nil:
				created.Add(1)
			case errors.Is(err, store.ErrExists):
				taken.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	all.Wait()
	if created.Load() != 200 || taken.Load() != 200 {
		t.Errorf("%d created and %d taken, want 200 each", created.Load(), taken.Load())
	}
}

// While another program writes, a call returns when its context ends; afterwards the
// store works again.
func TestAFileThatAnotherProgramIsWriting(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s := open(t, path)
	if err := s.Create(t.Context(), someSession()); err != nil {
		t.Fatal(err)
	}
	other, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	writing, err := other.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.End(ctx, someSession().ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("End meanwhile: %v, want context.DeadlineExceeded", err)
	}
	if _, err := s.Get(t.Context(), someSession().ID); err != nil {
		t.Errorf("Get meanwhile: %v", err)
	}
	if err := writing.Rollback(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), someSession().ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
		t.Errorf("End after that: %v", err)
	}
}

func TestAfterClose(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "tandem.db"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Create(t.Context(), someSession()); err == nil || !strings.Contains(err.Error(), "the store is closed") {
		t.Errorf("got %v", err)
	}
}

// Every write that runs while the store is closed gets a result or an error.
func TestClosingLeavesNobodyWaiting(t *testing.T) {
	for range 50 {
		s, err := sqlitestore.Open(t.Context(), filepath.Join(t.TempDir(), "tandem.db"))
		if err != nil {
			t.Fatal(err)
		}
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				var err error
				for err == nil {
					err = s.Ping(context.Background())
				}
			})
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		writers.Wait()
	}
}
