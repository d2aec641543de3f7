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
	s := &Store{path: path}
	db, err := sql.Open("sqlite", strings.Replace(dsn(path, "mode=ro"), "&_pragma=journal_mode(WAL)", "", 1))
	if err != nil {
		return 0, 0, s.explain(ctx, "open", err)
	}
	err = db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&is)
	return is, known, errors.Join(s.explain(ctx, "read the schema's version", err), db.Close())
}
