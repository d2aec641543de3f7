package sqlitestore

import (
	"context"
	"embed"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
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
			return fmt.Errorf("database %s was written by a newer Tandem (schema %d, this one knows up to %d); run the newer one, or put a backup in its place", s.path, current, wanted)
		case current == wanted:
			return nil
		case current == before:
			return s.explain(ctx, "migrate", failed)
		}
		before = current
		// If another process migrates the same file, this call fails although the
		// schema advances.
		_, failed = provider.Up(ctx)
	}
}
