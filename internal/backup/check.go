package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/tandem-auth/tandem/internal/sqlitefile"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// A Report is what a backup has in it.
type Report struct {
	MadeAt       time.Time `json:"madeAt"`
	Schema       int64     `json:"schema"`
	Users        int       `json:"users"`
	LiveSessions int       `json:"liveSessions"`
	// Keys is how many keys the master key opens, or 0 if there was no master key to try.
	Keys int `json:"keys"`
	// MasterKey is where the master key was: "backup", "given" or "" for nowhere.
	MasterKey string `json:"masterKey,omitempty"`
}

const scratchName = "tandem-restore-check-"

// Check restores a backup into a folder of its own, looks at every page of the database,
// opens the keys, and removes the folder. masters are those to try if the backup has none.
func Check(ctx context.Context, file string, open func(io.Reader) (io.Reader, error), masters []keys.MasterKey) (_ Report, err error) {
	scratch, err := os.MkdirTemp("", scratchName)
	if errors.Is(err, os.ErrNotExist) { // an image from scratch has no /tmp
		scratch, err = os.MkdirTemp(filepath.Dir(file), scratchName)
	}
	if err != nil {
		return Report{}, fmt.Errorf("make room to try the backup: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	path := filepath.Join(scratch, "tandem.db")
	if err := sqlitefile.Restore(path, file, open); err != nil {
		return Report{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Report{}, err
	}
	r := Report{MadeAt: info.ModTime().UTC().Truncate(time.Second)}
	var known int64
	if r.Schema, known, err = sqlitestore.Schema(ctx, path); err != nil {
		return Report{}, err
	}
	if r.Schema > known {
		return Report{}, fmt.Errorf("a newer version has made the backup (schema %d; this one knows %d): restore it with that version", r.Schema, known)
	}
	s, err := sqlitestore.Open(ctx, path)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Verify(ctx); err != nil {
		return Report{}, err
	}
	if r.Users, r.LiveSessions, err = s.Count(ctx, time.Now()); err != nil {
		return Report{}, err
	}
	return r.withKeys(ctx, s, path, masters)
}

// withKeys adds how many keys can be opened.
func (r Report) withKeys(ctx context.Context, s *sqlitestore.Store, path string, masters []keys.MasterKey) (Report, error) {
	inBackup, err := sqlitefile.MasterKeysBeside(path)
	switch {
	case err == nil:
		r.MasterKey, masters = "backup", inBackup
	case !errors.Is(err, os.ErrNotExist):
		return Report{}, err
	case len(masters) == 0:
		return r, nil
	default:
		r.MasterKey = "given"
	}
	list, err := keys.Operator{Store: s, MasterKeys: masters}.List(ctx)
	if err != nil && !errors.Is(err, keys.ErrNoKeys) {
		return Report{}, err
	}
	r.Keys = len(list)
	return r, nil
}
