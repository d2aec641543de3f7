package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
)

// openPostgres keeps the defaults fsync=on and synchronous_commit=on.
func openPostgres(ctx context.Context, w *workshop, t *target) error {
	if !w.programs.hasStore {
		return errNoStore
	}
	e, err := engines.NewPostgres()
	if err != nil {
		return err
	}
	database, err := e.NewDatabase(ctx)
	if err != nil {
		return errors.Join(fmt.Errorf("make a database: %w", err), e.Close())
	}
	url := e.URL(database)
	return t.openStore(ctx, w, &postgres{Postgres: e, url: url}, url)
}

type postgres struct {
	*engines.Postgres

	url string
}

const (
	othersQuery = `SELECT count(*) FROM pg_stat_activity
		WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()`
	rowsQuery = `SELECT coalesce(sum(n_tup_ins), 0)::bigint, coalesce(sum(n_tup_upd), 0)::bigint,
			coalesce(sum(n_tup_hot_upd), 0)::bigint, coalesce(sum(n_tup_del), 0)::bigint
		FROM pg_stat_user_tables WHERE relname = 'tandem_sessions'`
)

// count returns the row counts of the table tandem_sessions. It waits until all other
// connections have closed, because a connection reports its counts at its end at the
// latest.
func (e *postgres) count(ctx context.Context) (_ map[string]int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, e.url)
	if err != nil {
		return nil, fmt.Errorf("count rows: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()

	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for others := 1; others > 0; {
		if err := conn.QueryRow(ctx, othersQuery).Scan(&others); err != nil {
			return nil, fmt.Errorf("look for connections: %w", err)
		}
		if others > 0 {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return nil, fmt.Errorf("count rows: %d connections are left: %w", others, ctx.Err())
			}
		}
	}
	var inserted, updated, hot, deleted int64
	if err := conn.QueryRow(ctx, rowsQuery).Scan(&inserted, &updated, &hot, &deleted); err != nil {
		return nil, fmt.Errorf("count rows: %w", err)
	}
	return map[string]int64{
		"rows inserted": inserted, "rows updated": updated, "rows updated, HOT": hot, "rows deleted": deleted,
	}, nil
}
