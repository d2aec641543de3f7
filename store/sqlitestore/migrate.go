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

// migrate brings the schema up to date, and refuses one that is ahead of us.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, s.db, files)
	if err != nil {
		return s.explain(ctx, "migrate", err)
	}
	current, wanted, err := provider.GetVersions(ctx)
	if err != nil {
		return s.explain(ctx, "migrate", err)
	}
	if current > wanted {
		return fmt.Errorf("database %s was written by a newer Tandem (schema %d, this one knows up to %d); run that one, or put a backup in its place", s.path, current, wanted)
	}
	if current == wanted {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		// Another process may have been faster.
		if current, _, again := provider.GetVersions(ctx); again == nil && current == wanted {
			return nil
		}
		return s.explain(ctx, "migrate", err)
	}
	return nil
}
