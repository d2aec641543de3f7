package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

// A Postgres is a PostgreSQL server. Its superuser is tandem, without a password.
type Postgres struct {
	*Engine
	databases int
}

// NoFsync is a setting for a server that need not outlive a crash of the machine. Where
// there is room in memory, its files are there: a new database is a thousand files.
const NoFsync = "fsync=off"

// NewPostgres creates a database cluster and starts a server on it. Settings have the
// form of postgresql.conf, such as NoFsync.
func NewPostgres(settings ...string) (_ *Postgres, err error) {
	parent := ""
	if slices.Contains(settings, NoFsync) {
		parent = memoryFolder()
	}
	engine, err := newEngine(parent, "postgres", "database system is ready to accept connections", syscall.SIGINT)
	if err != nil {
		return nil, err
	}
	e := &Postgres{Engine: engine}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	e.args = []string{
		"-D", e.data(), "-p", strconv.Itoa(e.Port), "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=" + e.Folder,
	}
	for _, setting := range settings {
		e.args = append(e.args, "-c", setting)
	}
	initdb := e.command(filepath.Join(filepath.Dir(e.program), "initdb"),
		"-D", e.data(), "-U", "tandem", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
	if output, err := initdb.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w\n%s", err, output)
	}
	err = e.Start()
	return e, err
}

// URL returns the URL of a database.
func (e *Postgres) URL(database string) string {
	return fmt.Sprintf("postgres://tandem@%s/%s?sslmode=disable", e.Address(), database)
}

// Exec runs a statement in a database.
func (e *Postgres) Exec(ctx context.Context, database, statement string) error {
	conn, err := pgx.Connect(ctx, e.URL(database))
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, statement)
	return errors.Join(err, conn.Close(ctx))
}

// NewDatabase creates an empty database and returns its name. Options are those of
// CREATE DATABASE, such as "ENCODING 'LATIN1'".
func (e *Postgres) NewDatabase(ctx context.Context, options ...string) (string, error) {
	e.databases++
	name := fmt.Sprintf("db%d", e.databases)
	return name, e.Exec(ctx, "postgres", strings.Join(append([]string{"CREATE DATABASE", name}, options...), " "))
}

// A Bouncer is a PgBouncer in transaction mode in front of a PostgreSQL server.
type Bouncer struct{ *Engine }

// NewBouncer starts a PgBouncer.
func NewBouncer(before *Postgres) (_ *Bouncer, err error) {
	engine, err := newEngine("", "pgbouncer", "process up", syscall.SIGINT)
	if err != nil {
		return nil, err
	}
	e := &Bouncer{engine}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.Close())
		}
	}()
	config := fmt.Sprintf(`[databases]
* = host=127.0.0.1 port=%d user=tandem
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
ignore_startup_parameters = extra_float_digits
`, before.Port, e.Port)
	file := filepath.Join(e.Folder, "pgbouncer.ini")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	e.args = []string{file}
	return e, errors.Join(e.own(file), e.Start())
}

// URL returns the URL of a database behind the PgBouncer.
func (e *Bouncer) URL(database string) string {
	return fmt.Sprintf("postgres://tandem@%s/%s?sslmode=disable", e.Address(), database)
}
