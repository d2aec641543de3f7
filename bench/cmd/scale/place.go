package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/pgstore"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// A place is a store on the disk that can be filled quickly.
type place interface {
	// fill adds sessions until there are size of them. It loads them in bulk, but the
	// database updates the indexes row by row, as it does in production.
	fill(ctx context.Context, all *population, size int) error
	// use opens the store and calls do with it.
	use(ctx context.Context, do func(server.Store) error) error
	// size returns how many bytes all sessions take on the disk (Redis: in memory), in
	// total and per table and index.
	size(ctx context.Context) (int64, []part, error)
	close() error
}

// batch is how many sessions fill adds in one transaction.
const batch = 20_000

func newPlace(ctx context.Context, name, dir string) (place, error) {
	switch name {
	case "sqlite":
		dir, err := os.MkdirTemp(dir, "tandem-scale-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the database: %w", err)
		}
		return &sqlitePlace{dir: dir}, nil
	case "postgres":
		e, err := engines.NewPostgres("max_wal_size=4GB")
		if err != nil {
			return nil, err
		}
		p := &postgresPlace{engine: e, url: e.URL("postgres")}
		if err := p.use(ctx, func(server.Store) error { return nil }); err != nil { // which makes the tables
			return nil, errors.Join(err, p.close())
		}
		return p, nil
	case "redis":
		return newRedisPlace(ctx)
	}
	return nil, fmt.Errorf("-store %q is none of sqlite, postgres and redis", name)
}

type sqlitePlace struct{ dir string }

func (p *sqlitePlace) path() string { return filepath.Join(p.dir, "tandem.db") }
func (p *sqlitePlace) close() error { return os.RemoveAll(p.dir) }

func (p *sqlitePlace) use(ctx context.Context, do func(server.Store) error) error {
	s, err := sqlitestore.Open(ctx, p.path())
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func (p *sqlitePlace) fill(ctx context.Context, all *population, size int) error {
	if err := p.use(ctx, func(server.Store) error { return nil }); err != nil { // which makes the tables
		return err
	}
	db, err := sql.Open("sqlite", "file:"+p.path()+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=cache_size(-1000000)")
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	for len(all.ids) < size && err == nil {
		err = p.add(ctx, db, all, min(batch, size-len(all.ids)))
		progress(len(all.ids), size)
	}
	// Writing pages that are not on the disk yet would delay the first refreshes.
	return errors.Join(err, db.Close(), syncFile(p.path()))
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

func (p *sqlitePlace) add(ctx context.Context, db *sql.DB, all *population, n int) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	insert, err := tx.PrepareContext(ctx, `INSERT INTO sessions (id, generation, branch, confirmed_at, expires_at,
		subject, username, scope, device, ip, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	if err != nil {
		return err
	}
	defer insert.Close()
	for range n {
		s := all.next()
		_, err := insert.ExecContext(ctx, s.ID[:], s.Current.Generation, int64(s.Current.Branch), s.ConfirmedAt.UnixMilli(), s.ExpiresAt.UnixMilli(),
			s.Subject, s.Username, s.Scope, s.Device, s.IP, s.CreatedAt.UnixMilli())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (p *sqlitePlace) size(ctx context.Context) (int64, []part, error) {
	info, err := os.Stat(p.path()) // nobody has the file open, so there is no WAL
	if err != nil {
		return 0, nil, err
	}
	db, err := sql.Open("sqlite", p.path())
	if err != nil {
		return 0, nil, err
	}
	parts, err := sqliteParts(ctx, db)
	return info.Size(), parts, errors.Join(err, db.Close())
}

func sqliteParts(ctx context.Context, db *sql.DB) (parts []part, err error) {
	rows, err := db.QueryContext(ctx, `SELECT s.name, d.pgsize FROM sqlite_schema s
		JOIN dbstat d ON d.name = s.name
		WHERE d.aggregate = TRUE AND s.tbl_name = 'sessions' ORDER BY s.type = 'table' DESC, d.pgsize DESC`)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var one part
		if err := rows.Scan(&one.name, &one.bytes); err != nil {
			return nil, err
		}
		parts = append(parts, one)
	}
	return parts, rows.Err()
}

type postgresPlace struct {
	engine *engines.Postgres
	url    string
}

func (p *postgresPlace) close() error { return p.engine.Close() }

func (p *postgresPlace) use(ctx context.Context, do func(server.Store) error) error {
	s, err := pgstore.Open(ctx, p.url)
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func (p *postgresPlace) fill(ctx context.Context, all *population, size int) (err error) {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	columns := []string{
		"id", "generation", "branch", "confirmed_at", "expires_at", "created_at",
		"subject", "username", "scope", "device", "ip",
	}
	for len(all.ids) < size {
		n := min(batch, size-len(all.ids))
		rows := pgx.CopyFromSlice(n, func(int) ([]any, error) {
			s := all.next()
			return []any{
				[16]byte(s.ID), int64(s.Current.Generation), int64(s.Current.Branch), s.ConfirmedAt, s.ExpiresAt, s.CreatedAt,
				s.Subject, s.Username, s.Scope, s.Device, s.IP,
			}, nil
		})
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"tandem_sessions"}, columns, rows); err != nil {
			return err
		}
		progress(len(all.ids), size)
	}
	// Writing pages that are not on the disk yet would delay the first refreshes.
	for _, statement := range []string{"VACUUM ANALYZE tandem_sessions", "CHECKPOINT"} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func (p *postgresPlace) size(ctx context.Context) (all int64, parts []part, err error) {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return 0, nil, err
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if err := conn.QueryRow(ctx, `SELECT pg_total_relation_size('tandem_sessions')`).Scan(&all); err != nil {
		return 0, nil, err
	}
	rows, err := conn.Query(ctx, `SELECT 'tandem_sessions', pg_table_size('tandem_sessions'), 0
		UNION ALL SELECT indexrelid::regclass::text, pg_relation_size(indexrelid), 1
		FROM pg_index WHERE indrelid = 'tandem_sessions'::regclass ORDER BY 3, 2 DESC`)
	if err != nil {
		return 0, nil, err
	}
	parts, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (one part, _ error) {
		var order int
		return one, row.Scan(&one.name, &one.bytes, &order)
	})
	return all, parts, err
}
