// Package pgstore keeps sessions, the users of the embedded directory and the servers'
// keys in PostgreSQL. Any number of servers may share one database.
//
// A refresh takes one round trip and updates one row, and the update touches no index.
// The store repeats statements that failed because of a serialization failure, a
// deadlock or a lost connection, if repeating them is safe. It works through PgBouncer
// in transaction mode, and on distributed databases that speak PostgreSQL's protocol:
// it uses no advisory locks and no session state. No statement on sessions waits for a
// row that another transaction has locked (SKIP LOCKED), so such a transaction delays
// only the sessions whose rows it has locked.
//
// When a method returns without an error, its change is as durable as the database's
// settings make it; see [Store.Warning]. If a replica takes over automatically under
// asynchronous replication, the changes of the last moments may be lost. A lost
// confirmation does no harm: the tokens that clients present prove the later state. A
// lost end restores a session that was signed out, and after a lost creation the server
// does not know the session. Use synchronous replication where that matters.
package pgstore

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store/internal/group"
)

// A Store is a connection pool to one database. Its methods are safe for concurrent
// use. Their errors name the database, and say what the operator can do where that is
// known.
type Store struct {
	name    string // for errors: host, database and user, never the password
	pool    *pgxpool.Pool
	batcher *group.Group[attempt]
	// unprepared is set once the store has found that a PgBouncer between it and the
	// database loses prepared statements.
	unprepared atomic.Bool
	// swept is the last session at which sweepIdle has looked; nil before the first.
	swept   atomic.Pointer[rotation.SessionID]
	warning string
}

// Limits on connections, unless the URL says otherwise (pool_max_conns,
// connect_timeout).
const (
	connectionsPerProcessor = 8
	minConnections          = 16
	connectTimeout          = 3 * time.Second
)

// Open connects to the database that url names, and creates or migrates its tables,
// whose names begin with tandem_. The URL has PostgreSQL's format, such as
// postgres://user@host:5432/database?sslmode=verify-full, and may contain the
// parameters of pgx's pool, such as pool_max_conns. Settings that the URL leaves out
// come from PostgreSQL's environment variables and ~/.pgpass.
func Open(ctx context.Context, url string) (_ *Store, err error) {
	config, err := parse(url)
	if err != nil {
		return nil, err
	}
	s := &Store{name: describe(config.ConnConfig)}
	if s.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, s.explain(ctx, "open", err)
	}
	s.batcher = newBatcher(s)
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := s.migrate(ctx, config.ConnConfig); err != nil {
		return nil, err
	}
	// The operator should learn now, not at the first sign-in, that the tables cannot
	// be written.
	if err := s.Ping(ctx); err != nil {
		return nil, err
	}
	if s.warning, err = s.findWarning(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func describe(config *pgx.ConnConfig) string {
	return fmt.Sprintf("PostgreSQL database %q at %s:%d (user %q)", config.Database, config.Host, config.Port, config.User)
}

// Ping reports whether the database can be written, by writing to it. If another server
// is writing the same row at that moment, Ping succeeds without writing.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.exec(ctx, "ping", repeatable, `UPDATE tandem_health SET pinged_at = now()
		WHERE id IN (SELECT id FROM tandem_health FOR NO KEY UPDATE SKIP LOCKED)`)
	return err
}

// findWarning looks for settings under which the database confirms changes that are not
// durable. A database that merely speaks PostgreSQL's protocol may not know these
// settings.
func (s *Store) findWarning(ctx context.Context) (string, error) {
	var fsync, commit string
	err := s.queryRow(ctx, "read the settings", `SELECT coalesce(current_setting('fsync', true), ''), coalesce(current_setting('synchronous_commit', true), '')`, nil,
		func(row pgx.Row) error { return row.Scan(&fsync, &commit) })
	switch {
	case err != nil:
		return "", err
	case fsync == "off":
		return s.name + ": fsync is off, so a crash of its machine may lose everything; turn it on", nil
	case commit == "off":
		return s.name + ": synchronous_commit is off, so a crash may bring back sessions that were signed out a moment before; turn it on for this user or database", nil
	}
	return "", nil
}

// Warning returns, in one line, what an operator should know about the database's
// settings. It is empty if there is nothing to report.
func (s *Store) Warning() string { return s.warning }

// Close waits for the running calls and closes all connections. It may be called twice.
func (s *Store) Close() error {
	s.batcher.Close()
	s.pool.Close()
	return nil
}

// errURL contains no part of the URL: in a malformed URL the password could be
// anywhere.
var errURL = errors.New("the PostgreSQL URL cannot be read (it may have a password in it, and is not shown): " +
	"want postgres://USER:PASSWORD@HOST:PORT/DATABASE, where @ : / ? # and % in a password are written %40 %3A %2F %3F %23 and %25")

// parse parses the URL, and sets defaults for what the URL leaves out.
func parse(url string) (*pgxpool.Config, error) {
	connection, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if _, set := connection.RuntimeParams["pool_max_conns"]; !set {
		config.MaxConns = int32(max(minConnections, connectionsPerProcessor*runtime.GOMAXPROCS(0)))
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = connectTimeout
	}
	if _, set := config.ConnConfig.RuntimeParams["application_name"]; !set {
		config.ConnConfig.RuntimeParams["application_name"] = "tandem"
	}
	// Go strings are UTF-8, whatever encoding PGCLIENTENCODING, the user or the
	// database prefers.
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	return config, nil
}
