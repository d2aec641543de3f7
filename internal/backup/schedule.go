package backup

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"filippo.io/age"

	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// Defaults of [Config].
const (
	DefaultEvery = 24 * time.Hour
	DefaultKeep  = 14
)

// A Config says when a [Schedule] backs up what, and where.
type Config struct {
	// Dir is the folder of the backups. It is made if it is not there. Required.
	Dir string
	// Every is the time between two backups. Defaults to [DefaultEvery]. At least a minute.
	Every time.Duration
	// Keep is how many backups to keep; older ones are deleted once a new one is whole.
	// Defaults to [DefaultKeep].
	Keep int
	// Recipients are those to whom backups are sealed. Without any, whoever reads the folder
	// can sign in as anybody.
	Recipients []age.Recipient
	// Database is the path of the database, and Copy makes a consistent copy of it.
	Database string
	Copy     func(ctx context.Context, to string) error
	// Logger receives what was done. Defaults to none.
	Logger *slog.Logger
	// Done is told of each backup: when it was made, or why it was not. Optional.
	Done func(at time.Time, err error)
	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time
}

// Check reports what is wrong with the settings.
func (c Config) Check() error {
	switch {
	case c.Every != 0 && c.Every < time.Minute:
		return fmt.Errorf("--backup-every: %s is less than a minute; durations are written like 24h", c.Every)
	case c.Keep < 0:
		return fmt.Errorf("--backup-keep: %d is less than 1", c.Keep)
	}
	return nil
}

// The times between tries after a failure.
const (
	firstRetry = time.Minute
	lastRetry  = time.Hour
)

// A Schedule makes backups until it is closed.
type Schedule struct {
	config Config
	stop   context.CancelFunc
	done   sync.WaitGroup
}

// Start begins the schedule. The first backup is made at once if the newest in the folder is
// older than Every, so that restarts neither skip nor multiply backups. The error is about
// the folder or a setting.
func Start(config Config) (*Schedule, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	if config.Every == 0 {
		config.Every = DefaultEvery
	}
	if config.Keep == 0 {
		config.Keep = DefaultKeep
	}
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.Done == nil {
		config.Done = func(time.Time, error) {}
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	if err := os.MkdirAll(config.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("--backup-dir: %w", err)
	}
	if s := sqlitefile.ExposedFolder(config.Dir, "a backup"); s != "" {
		return nil, fmt.Errorf("--backup-dir: %s", s)
	}
	if len(config.Recipients) == 0 {
		config.Logger.Warn("backups are not sealed: whoever can read the folder can sign in as anybody; make a key with tandem backup-key, and name its recipient with --backup-recipient", "folder", config.Dir)
	}
	ctx, stop := context.WithCancel(context.Background())
	s := &Schedule{config: config, stop: stop}
	s.done.Go(func() { s.run(ctx) })
	return s, nil
}

// Close stops the schedule, and a backup under way. It may be called twice.
func (s *Schedule) Close() error {
	s.stop()
	s.done.Wait()
	return nil
}

func (s *Schedule) run(ctx context.Context) {
	s.tidy()
	retry := firstRetry
	if at, err := s.newest(); err == nil && !at.IsZero() {
		s.config.Done(at, nil)
	}
	for {
		last, err := s.newest()
		wait := last.Add(s.config.Every).Sub(s.config.Now())
		if err == nil && wait <= 0 {
			var made time.Time
			if made, err = s.make(ctx); err == nil {
				s.config.Done(made, nil)
				retry = firstRetry
				s.thinOut()
				continue
			}
		}
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			wait = min(retry, s.config.Every)
			retry = min(2*retry, lastRetry)
			s.config.Done(time.Time{}, err)
			s.config.Logger.ErrorContext(ctx, "the backup failed; the earlier ones are still there", "error", err, "next_try_in", wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// layout is the time in the name of a backup; nameForm is the whole name.
const layout = "20060102T150405Z"

var nameForm = regexp.MustCompile(`^tandem-(\d{8}T\d{6}Z)\.tar(\.age)?$`)

// namesIn returns the names of the backups in a folder, the oldest first.
func namesIn(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if nameForm.MatchString(e.Name()) && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// Newest returns the time of the newest backup in a folder, or the zero time if there is none.
func Newest(dir string) (time.Time, error) {
	names, err := namesIn(dir)
	if err != nil || len(names) == 0 {
		return time.Time{}, err
	}
	return timeOf(names[len(names)-1])
}

// timeOf returns the time in a name that matches nameForm.
func timeOf(name string) (time.Time, error) {
	return time.Parse(layout, nameForm.FindStringSubmatch(name)[1])
}

// past returns the names of the backups that were made by now, the oldest first. Those of
// the future are from when the clock was wrong: they are no reason to make no backup, nor to
// delete one.
func (s *Schedule) past() ([]string, error) {
	names, err := namesIn(s.config.Dir)
	now := s.config.Now()
	return slices.DeleteFunc(names, func(name string) bool {
		at, err := timeOf(name)
		return err != nil || at.After(now)
	}), err
}

// newest returns the time of the last of past, or the zero time if there is none.
func (s *Schedule) newest() (time.Time, error) {
	names, err := s.past()
	if err != nil || len(names) == 0 {
		return time.Time{}, err
	}
	return timeOf(names[len(names)-1])
}

// make makes a backup.
func (s *Schedule) make(ctx context.Context) (time.Time, error) {
	now := s.config.Now().UTC()
	name := "tandem-" + now.Format(layout) + ".tar"
	if len(s.config.Recipients) > 0 {
		name += ".age"
	}
	file := filepath.Join(s.config.Dir, name)
	err := sqlitefile.Backup(ctx, s.config.Database, file, s.copyAndCheck, Seal(s.config.Recipients))
	if err != nil {
		return time.Time{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return time.Time{}, err
	}
	s.config.Logger.InfoContext(ctx, "made a backup", "file", file, "bytes", info.Size())
	return now.Truncate(time.Second), nil
}

// copyAndCheck makes the copy, and checks it before it is sealed: what is sealed, the server
// cannot read.
func (s *Schedule) copyAndCheck(ctx context.Context, to string) error {
	if err := s.config.Copy(ctx, to); err != nil {
		return err
	}
	if err := sqlitestore.CheckCopy(ctx, to); err != nil {
		return fmt.Errorf("the copy of the database is damaged (%w): if the next one is too, so is the database: stop the server and restore the newest backup that passes tandem restore --check", err)
	}
	return nil
}

// thinOut deletes the oldest backups beyond Keep.
func (s *Schedule) thinOut() {
	names, err := s.past()
	if err != nil {
		return // the next backup fails, and says so
	}
	for _, name := range names[:max(0, len(names)-s.config.Keep)] {
		if err := os.Remove(filepath.Join(s.config.Dir, name)); err != nil {
			s.config.Logger.Warn("cannot delete an old backup", "error", err)
		}
	}
}

// tidy removes what a process that was killed in the middle of a backup has left.
func (s *Schedule) tidy() {
	entries, err := os.ReadDir(s.config.Dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if e.IsDir() && strings.HasPrefix(e.Name(), sqlitefile.ScratchPrefix) {
			_ = os.RemoveAll(filepath.Join(s.config.Dir, e.Name()))
		}
	}
}
