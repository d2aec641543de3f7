package sqlitestore

import (
	"context"
	"crypto/rand"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pressly/goose/v3"

	schemas "github.com/tandem-auth/tandem/store/internal/schema"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date, and refuses a schema that a newer version has
// written.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files)
	if err != nil {
		return s.explain(ctx, "migrate", err)
	}
	before, failed := int64(-1), error(nil)
	for {
		current, wanted, err := provider.GetVersions(ctx)
		switch {
		case err != nil:
			return s.explain(ctx, "migrate", err)
		case current > wanted:
			return fmt.Errorf("database %s was written by a newer Tandem (schema %d, this one knows up to %d); run the newer one, or put a backup of this version in its place, such as the file %[1]s.before-schema-%d that the newer one has left", s.path, current, wanted, current)
		case current == wanted:
			return nil
		case current == before:
			return s.explain(ctx, "migrate", failed)
		}
		if before < 0 {
			if err := s.keepCopy(ctx, current); err != nil {
				return err
			}
		}
		before = current
		// If another process migrates the same file, this call fails although the
		// schema advances.
		_, failed = provider.Up(ctx)
	}
}

// largestCopy is the size of a database up to which a migration keeps a copy of it.
const largestCopy = 1 << 30

// keepCopy keeps a copy of the database as it is before a migration, for the way back: the
// version before cannot open what a migration has changed.
func (s *Store) keepCopy(ctx context.Context, schema int64) error {
	info, err := os.Stat(s.path)
	if err != nil {
		return s.explain(ctx, "migrate", err)
	}
	wanted, err := schemas.Newest(migrations, "migrations")
	if err != nil || schema == 0 || info.Size() > largestCopy {
		return err
	}
	to := fmt.Sprintf("%s.before-schema-%d", s.path, wanted)
	if has, _, err := Schema(ctx, to); err == nil && has < schema {
		return nil // of a migration of several steps that was interrupted
	}
	// A copy that was cut short by a crash must not pass for a whole one.
	part := fmt.Sprintf("%s.%s.part", to, rand.Text())
	err = s.Backup(ctx, part)
	if err == nil {
		err = keepPart(ctx, part, to, schema)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("keep a copy of %s before its schema is changed: %w", s.path, err), os.RemoveAll(part))
	}
	removeOldParts(to)
	return nil
}

// keepPart gives a copy its name, unless another process has migrated the database before it
// was made, and has kept a copy of its own.
func keepPart(ctx context.Context, part, to string, schema int64) error {
	copied, _, err := Schema(ctx, part)
	switch {
	case err != nil:
		return err
	case copied > schema:
		return os.Remove(part)
	}
	return os.Rename(part, to)
}

// removeOldParts removes what crashes have left of copies. No copy takes an hour.
func removeOldParts(to string) {
	parts, _ := filepath.Glob(to + ".*.part")
	for _, part := range parts {
		if info, err := os.Stat(part); err == nil && time.Since(info.ModTime()) > time.Hour {
			_ = os.Remove(part)
		}
	}
}
