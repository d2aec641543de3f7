// Package pgstore keeps sessions, the users of the embedded directory and the keys
// of the servers in PostgreSQL, for any number of servers.
//
// A refresh is one round trip and one updated row, and the update touches no index.
// Statements that the database could not carry out side by side with others
// (serialization failures, deadlocks) and those whose connection was lost are
// carried out again. It works through PgBouncer in transaction mode, and asks the
// database for nothing that a distributed one with PostgreSQL's protocol does not
// have: no advisory locks, no session state. No statement on sessions waits for a row
// that another transaction has locked (SKIP LOCKED): such a transaction costs the
// sessions whose rows it has locked, and no other.
//
// What a method returned without an error is as durable as the database makes it:
// see [Store.Warning]. Where replicas take over without being asked
// (asynchronous replication), the last moments may be lost. A lost confirmation does
// no harm, for the tokens that come prove the later state; a lost end brings a
// session back that was signed out, and a session that has just begun is unknown. Use
// synchronous replication where that matters.
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

	"github.com/tandem-auth/tandem/store/internal/group"
)

// A Store is a database. Its methods are safe for concurrent use. Their errors name
// the database, and say what to do where something can be done.
type Store struct {
	name    string // for errors: host, database and user, never the password
	pool    *pgxpool.Pool
	batcher *group.Group[attempt]
	// unprepared is set once it is known that there is a PgBouncer in between which
	// loses prepared statements.
	unprepared atomic.Bool
	warning    string
}

// Limits on connections, unless the URL says otherwise (pool_max_conns,
// connect_timeout).
const (
	connectionsPerProcessor = 8
	minConnections          = 16
	connectTimeout          = 3 * time.Second
)

// Open connects to the database that url names and brings its tables up to date;
// they all begin with tandem_. The URL is PostgreSQL's, such as
// postgres://user@host:5432/database?sslmode=verify-full; what it does not say comes
// from PostgreSQL's environment variables and ~/.pgpass. The settings of pgx's pool,
// such as pool_max_conns, may be among its parameters.
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
	// That the tables cannot be written is better known now.
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

// Ping reports whether the database can be written, by writing to it. A row that
// somebody else is writing is proof enough.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.exec(ctx, "ping", repeatable, `UPDATE tandem_health SET pinged_at = now()
		WHERE id IN (SELECT id FROM tandem_health FOR NO KEY UPDATE SKIP LOCKED)`)
	return err
}

// findWarning looks for settings under which an answer is not durable. A database that
// only speaks PostgreSQL's protocol may not know them.
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

// Warning says what an operator should know of the database's settings, in one
// line. It is empty where there is nothing to say.
func (s *Store) Warning() string { return s.warning }

// Close closes all connections, once those in use are done. It may be called twice.
func (s *Store) Close() error {
	s.batcher.Close()
	s.pool.Close()
	return nil
}

// errURL does not show the URL, nor any part of it: a password with a character
// that is misplaced could be anywhere.
var errURL = errors.New("the PostgreSQL URL cannot be read (it may have a password in it, and is not shown): " +
	"want postgres://USER:PASSWORD@HOST:PORT/DATABASE, where @ : / ? # and % in a password are written %40 %3A %2F %3F %23 and %25")

// parse reads the URL, and sets what it leaves open.
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
	// Go's text is UTF-8, whatever PGCLIENTENCODING, the user or the database prefers.
	config.ConnConfig.RuntimeParams["client_encoding"] = "UTF8"
	return config, nil
}
