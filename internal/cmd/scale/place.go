package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/engines"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/pgstore"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

// A place is a store on the disk.
type place interface {
	// fill adds sessions until there are so many. They get there in bulk, but into
	// the indexes one by one, as in life.
	fill(ctx context.Context, all *population, size int) error
	// use opens the store.
	use(ctx context.Context, do func(server.Store) error) error
	// size returns the bytes that all sessions take, and those of their indexes if that
	// is known.
	size(ctx context.Context) (all, indexes int64, err error)
	close() error
}

// batch is how many sessions are added in one transaction.
const batch = 20_000

func newPlace(ctx context.Context, name string) (place, error) {
	switch name {
	case "sqlite":
		dir, err := os.MkdirTemp("", "tandem-scale-")
		return &sqlitePlace{dir: dir}, err
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
	}
	return nil, fmt.Errorf("-store %q is neither sqlite nor postgres", name)
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
		err = p.add(ctx, db, all, min(batch, size-len(all.ids)), size)
		progress(len(all.ids), size)
	}
	return errors.Join(err, db.Close())
}

func (p *sqlitePlace) add(ctx context.Context, db *sql.DB, all *population, n, size int) error {
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
		s := all.next(size)
		_, err := insert.ExecContext(ctx, s.ID[:], s.Current.Generation, int64(s.Current.Branch), s.ConfirmedAt.UnixMilli(), s.ExpiresAt.UnixMilli(),
			s.Subject, s.Username, s.Scope, s.Device, s.IP, s.CreatedAt.UnixMilli())
		if err != nil {
			return err
		}
	}
	return tx.Commit()
}

func (p *sqlitePlace) size(context.Context) (all, indexes int64, err error) {
	info, err := os.Stat(p.path())
	if err != nil {
		return 0, 0, err
	}
	return info.Size(), 0, nil
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
			s := all.next(size)
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
	_, err = conn.Exec(ctx, "VACUUM ANALYZE tandem_sessions")
	return err
}

func (p *postgresPlace) size(ctx context.Context) (all, indexes int64, err error) {
	conn, err := pgx.Connect(ctx, p.url)
	if err != nil {
		return 0, 0, err
	}
	err = conn.QueryRow(ctx, `SELECT pg_total_relation_size('tandem_sessions'), pg_indexes_size('tandem_sessions')`).Scan(&all, &indexes)
	return all, indexes, errors.Join(err, conn.Close(ctx))
}
