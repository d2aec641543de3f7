package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tandem-auth/tandem/store/internal/schema"
)

// Schema returns the version of the schema of the database at path, and the one that this
// program knows. It changes nothing: it neither creates nor migrates the database. As with
// [Open], read the file through nothing else in the process meanwhile.
func Schema(ctx context.Context, path string) (is, known int64, err error) {
	if known, err = schema.Newest(migrations, "migrations"); err != nil {
		return 0, 0, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return 0, 0, fmt.Errorf("find the database: %w", err)
	}
	err = readOnly(path, "", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&is)
	})
	return is, known, (&Store{path: path}).explain(ctx, "read the schema's version", err)
}

// CheckCopy fails if a copy of a database, which nothing else may have open, is no database
// or a page of it is damaged. It changes nothing.
func CheckCopy(ctx context.Context, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("find the database: %w", err)
	}
	return readOnly(path, "&immutable=1", func(db *sql.DB) error {
		var found string
		err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
		if err == nil && found != "ok" {
			err = errors.New(found)
		}
		return err
	})
}

// readOnly opens the database at an absolute path for one function, and writes nothing, not
// even the files beside it.
func readOnly(path, option string, do func(db *sql.DB) error) error {
	db, err := sql.Open("sqlite", strings.Replace(dsn(path, "mode=ro"+option), "&_pragma=journal_mode(WAL)", "", 1))
	if err != nil {
		return err
	}
	return errors.Join(do(db), db.Close())
}
