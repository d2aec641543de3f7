package pgstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

//go:embed migrations/*.sql
var migrations embed.FS

const migrationsTable = "tandem_migrations"

// migrateAttempts bounds how often migrate tries while other processes migrate the same
// database.
const migrateAttempts = 20

// migrate brings the schema up to date. It refuses a schema that a newer version has
// written, and a database whose encoding cannot store every text.
func (s *Store) migrate(ctx context.Context, config *pgx.ConnConfig) (err error) {
	config = config.Copy()
	config.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // for PgBouncer
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := s.checkEncoding(ctx, db); err != nil {
		return err
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	before := int64(-1)
	for attempt := range migrateAttempts {
		// A provider looks up its table only once, so each attempt needs a new
		// provider.
		provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(migrationsTable))
		if err != nil {
			return s.explain(ctx, "migrate", err)
		}
		current, wanted, err := provider.GetVersions(ctx)
		advances := false
		switch {
		case err != nil:
		case current > wanted:
			err = fmt.Errorf("it was written by a newer Tandem (schema %d, this one knows up to %d): run the newer one, or restore a dump that was made before it", current, wanted)
		case current < wanted:
			// If another process migrates the same database, this call may fail with
			// any error, such as that a column exists, although the schema advances.
			_, err = provider.Up(ctx)
			advances, before = current > before, current
		}
		if err == nil || !advances && !isRace(err) || attempt == migrateAttempts-1 {
			return s.explain(ctx, "bring the tables up to date", err)
		}
		if err := wait(ctx, time.Duration(rand.Int64N(int64(100*time.Millisecond)))); err != nil { //nolint:gosec // no secret
			return err
		}
	}
	return nil
}

// checkEncoding refuses a database whose encoding cannot store the names of all users,
// so that the operator learns it at the start and not from a failed sign-in. A database
// that merely speaks PostgreSQL's protocol may not report its encoding.
func (s *Store) checkEncoding(ctx context.Context, db *sql.DB) error {
	var encoding string
	err := db.QueryRowContext(ctx, `SELECT coalesce(current_setting('server_encoding', true), '')`).Scan(&encoding)
	switch {
	case err != nil:
		return s.explain(ctx, "read the settings", err)
	case encoding != "" && encoding != "UTF8":
		return fmt.Errorf("%s: its encoding is %s, which cannot store every name; create another database with "+
			"createdb --encoding=UTF8 --template=template0, and name that in the URL", s.name, encoding)
	}
	return nil
}

// isRace reports whether an error is certainly due to another process that migrates the
// same database, which may not have advanced the schema yet.
func isRace(err error) bool {
	switch code(err) {
	case uniqueViolation, duplicateTable, duplicateObject, serializationFailure, deadlockDetected:
		return true
	}
	return false
}
