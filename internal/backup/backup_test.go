package backup_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"filippo.io/age"
	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/internal/backup"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is a database with a user and keys, and a folder for backups.
type place struct {
	*testing.T
	path, dir string
	store     *sqlitestore.Store
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{T: t, path: filepath.Join(t.TempDir(), "tandem.db"), dir: filepath.Join(t.TempDir(), "backups")}
	lock, err := sqlitefile.NewLock(p.path)
	if err != nil {
		t.Fatal(err)
	}
	if p.store, err = sqlitestore.Open(t.Context(), p.path); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(p.store.Close(), lock.Close()) })
	masters, err := lock.MasterKeys(true)
	if err != nil {
		t.Fatal(err)
	}
	manager, err := keys.Open(t.Context(), keys.Config{Store: p.store, MasterKeys: masters})
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.store.AddUser(t.Context(), store.User{Name: "ann", Subject: "u-1", CreatedAt: time.UnixMilli(0)}); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *place) config() backup.Config {
	return backup.Config{Dir: p.dir, Database: p.path, Copy: p.store.Backup}
}

// names returns what is in the folder of the backups.
func (p *place) names() []string {
	p.Helper()
	entries, err := os.ReadDir(p.dir)
	if err != nil {
		p.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (p *place) want(names ...string) {
	p.Helper()
	if got := p.names(); !slices.Equal(got, names) {
		p.Errorf("the folder has %q, want %q", got, names)
	}
}

func plain(t *testing.T) func(io.Reader) (io.Reader, error) {
	t.Helper()
	open, err := backup.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return open
}

// newKey returns the file of a new key, and its recipient.
func newKey(t *testing.T) (file string, recipient age.Recipient) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "backup.key")
	text, err := backup.NewKey(file)
	if err != nil {
		t.Fatal(err)
	}
	recipients, err := backup.ParseRecipients([]string{text})
	if err != nil {
		t.Fatal(err)
	}
	return file, recipients[0]
}

// A server makes a backup when it starts, then one a day, and keeps the newest. A restart makes
// none that is not due.
func TestBackupsOnASchedule(t *testing.T) {
	p := newPlace(t)
	synctest.Test(t, func(t *testing.T) {
		c := p.config()
		c.Keep = 2
		start := func() *backup.Schedule {
			t.Helper()
			s, err := backup.Start(c)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute) // lets the first backup finish
			return s
		}
		s := start()
		p.want("tandem-20000101T000000Z.tar")
		time.Sleep(10 * time.Hour)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = start()
		p.want("tandem-20000101T000000Z.tar")
		time.Sleep(2 * 24 * time.Hour)
		p.want("tandem-20000102T000000Z.tar", "tandem-20000103T000000Z.tar")
		_ = errors.Join(s.Close(), s.Close())
		time.Sleep(5 * 24 * time.Hour) // the server was away
		s = start()
		if at, err := backup.Newest(p.dir); err != nil || time.Since(at) > 2*time.Minute {
			t.Errorf("the newest is of %v, %v", at, err)
		}
		_ = s.Close()
	})
	report, err := backup.Check(t.Context(), filepath.Join(p.dir, p.names()[1]), plain(t), nil)
	if err != nil || report.Users != 1 || report.Keys != 2 || report.MasterKey != "backup" {
		t.Errorf("%+v, %v", report, err)
	}
}

// While backups fail, the earlier ones stay, and the next try comes soon. What a killed
// process has left is removed; files of others are not touched.
func TestABackupThatFails(t *testing.T) {
	p := newPlace(t)
	if err := os.MkdirAll(filepath.Join(p.dir, sqlitefile.ScratchPrefix+"123"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tandem-19991201T000000Z.tar", "tandem-mine.tar"} {
		if err := os.WriteFile(filepath.Join(p.dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var failures atomic.Int64
		full := true
		c := p.config()
		c.Keep = 1
		c.Copy = func(ctx context.Context, to string) error {
			mu.Lock()
			defer mu.Unlock()
			if full {
				return errors.Join(os.WriteFile(to, []byte("half of it"), 0o600), errors.New("no space left on device"))
			}
			return p.store.Backup(ctx, to)
		}
		c.Done = func(_ time.Time, err error) {
			if err != nil {
				failures.Add(1)
			}
		}
		s, err := backup.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(10 * time.Minute)
		p.want("tandem-19991201T000000Z.tar", "tandem-mine.tar")
		mu.Lock()
		full = false
		mu.Unlock()
		time.Sleep(time.Hour)
		if failures.Load() != 4 { // at 0, 1, 3 and 7 minutes
			t.Errorf("%d tries failed, want 4", failures.Load())
		}
		p.want("tandem-20000101T001500Z.tar", "tandem-mine.tar")
	})
}

// A sealed backup is opened by the key of one of its recipients alone, and whole.
func TestSealedBackups(t *testing.T) {
	p := newPlace(t)
	ann, forAnn := newKey(t)
	bob, forBob := newKey(t)
	other, _ := newKey(t)
	file := filepath.Join(t.TempDir(), "backup.age")
	if err := sqlitefile.Backup(t.Context(), p.path, file, p.store.Backup, backup.Seal([]age.Recipient{forAnn, forBob})); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{ann, bob} {
		open, err := backup.Open(key)
		if err != nil {
			t.Fatal(err)
		}
		if report, err := backup.Check(t.Context(), file, open, nil); err != nil || report.Users != 1 || report.Keys != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "SQLite format") {
		t.Error("the backup is not sealed")
	}
	changed := slices.Clone(text)
	changed[len(changed)/2] ^= 1
	for _, c := range []struct {
		name, key string
		text      []byte
		want      string
	}{
		{"without a key", "", text, "the backup is sealed; name the file with the key that opens it with --identity"},
		{"the key of another", other, text, "is not one that the backup was sealed for"},
		{"cut short", ann, text[:len(text)-100], "read the backup"},
		{"changed", ann, changed, "read the backup"},
		{"its beginning alone", ann, text[:60], "damaged or was cut short"},
		{"no backup", "", []byte("hello"), "read the backup"},
		{"nothing", "", nil, "has no database in it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "backup.age")
			if err := os.WriteFile(file, c.text, 0o600); err != nil {
				t.Fatal(err)
			}
			open, err := backup.Open(c.key)
			if err != nil {
				t.Fatal(err)
			}
			t.Setenv("TMPDIR", t.TempDir())
			if _, err := backup.Check(t.Context(), file, open, nil); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if left, err := os.ReadDir(os.TempDir()); err != nil || len(left) > 0 {
				t.Errorf("the check has left %v, %v", left, err)
			}
			into := filepath.Join(t.TempDir(), "tandem.db")
			if err := sqlitefile.Restore(into, file, open); err == nil {
				t.Error("restored")
			}
			for _, name := range []string{into, sqlitefile.KeyFile(into)} {
				if _, err := os.Stat(name); err == nil {
					t.Errorf("%s is left", name)
				}
			}
		})
	}
}

func TestSettingsThatAreRefused(t *testing.T) {
	p := newPlace(t)
	open := filepath.Join(t.TempDir(), "open")
	if err := os.Mkdir(open, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o777); err != nil { //nolint:gosec // that is the fault
		t.Fatal(err)
	}
	for want, change := range map[string]func(*backup.Config){
		"--backup-every: 1s is less than a minute": func(c *backup.Config) { c.Every = time.Second },
		"--backup-keep: -1 is less than 1":         func(c *backup.Config) { c.Keep = -1 },
		"run chmod go-w":                           func(c *backup.Config) { c.Dir = open },
		"--backup-dir: ":                           func(c *backup.Config) { c.Dir = p.path },
	} {
		c := p.config()
		change(&c)
		if s, err := backup.Start(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
			if s != nil {
				_ = s.Close()
			}
		}
	}
	for text, want := range map[string]string{
		"age1nonsense":     "is no recipient",
		"AGE-SECRET-KEY-1": "this is a secret key",
	} {
		if _, err := backup.ParseRecipients([]string{text}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := backup.Open(p.path); err == nil || !strings.Contains(err.Error(), "has no key") {
		t.Errorf("a file that has no key: %v", err)
	}
	file, _ := newKey(t)
	if _, err := backup.NewKey(file); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a key over a key: %v", err)
	}
}

// A clock that once was wrong has left a backup of the future. It neither counts as the
// newest nor costs the others their place.
func TestABackupOfTheFuture(t *testing.T) {
	p := newPlace(t)
	if err := os.Mkdir(p.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "tandem-20300101T000000Z.tar"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		c := p.config()
		c.Keep = 2
		s, err := backup.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		time.Sleep(12 * time.Hour)
		p.want("tandem-20000101T000000Z.tar", "tandem-20300101T000000Z.tar")
		time.Sleep(2 * 24 * time.Hour)
		p.want("tandem-20000102T000000Z.tar", "tandem-20000103T000000Z.tar", "tandem-20300101T000000Z.tar")
	})
}

// A copy whose pages are damaged is no backup.
func TestADamagedCopy(t *testing.T) {
	p := newPlace(t)
	synctest.Test(t, func(t *testing.T) {
		var failed error
		c := p.config()
		c.Copy = func(ctx context.Context, to string) error {
			if err := p.store.Backup(ctx, to); err != nil {
				return err
			}
			f, err := os.OpenFile(to, os.O_RDWR, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte(strings.Repeat("damage", 1000)), 5000)
			return errors.Join(err, f.Close())
		}
		c.Done = func(_ time.Time, err error) { failed = err }
		s, err := backup.Start(c)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		_ = s.Close()
		if failed == nil || !strings.Contains(failed.Error(), "restore the newest backup that passes tandem restore --check") {
			t.Errorf("got %v", failed)
		}
		p.want()
	})
}

// What a check says is the time at which the backup was made, wherever the file was copied since.
func TestWhenABackupWasMade(t *testing.T) {
	p := newPlace(t)
	file := filepath.Join(t.TempDir(), "backup.tar")
	longAgo := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	copyThen := func(ctx context.Context, to string) error {
		return errors.Join(p.store.Backup(ctx, to), os.Chtimes(to, longAgo, longAgo))
	}
	if err := sqlitefile.Backup(t.Context(), p.path, file, copyThen, nil); err != nil {
		t.Fatal(err)
	}
	report, err := backup.Check(t.Context(), file, plain(t), nil)
	if err != nil || !report.MadeAt.Equal(longAgo) {
		t.Errorf("made at %v, %v; want %v", report.MadeAt, err, longAgo)
	}
}
