package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/store/internal/schema"
)

// Schema returns the version of the schema of the database that url names, and the one that
// this program knows. It changes nothing: a database without Tandem's tables has version 0.
func Schema(ctx context.Context, url string) (is, known int64, err error) {
	if known, err = schema.Newest(migrations, "migrations"); err != nil {
		return 0, 0, err
	}
	config, err := parse(url)
	if err != nil {
		return 0, 0, err
	}
	s := &Store{name: describe(config.ConnConfig)}
	one := config.ConnConfig.Copy()
	one.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol // for PgBouncer
	conn, err := pgx.ConnectConfig(ctx, one)
	if err != nil {
		return 0, 0, s.explain(ctx, "open", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	var there bool
	if err := conn.QueryRow(ctx, `SELECT to_regclass($1) IS NOT NULL`, migrationsTable).Scan(&there); err != nil || !there {
		return 0, known, s.explain(ctx, "read the schema's version", err)
	}
	err = conn.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM `+migrationsTable+` WHERE is_applied`).Scan(&is)
	return is, known, s.explain(ctx, "read the schema's version", err)
}
