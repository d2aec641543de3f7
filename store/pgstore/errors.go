package pgstore

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/internal/group"
)

// SQLSTATE codes (PostgreSQL manual, appendix A).
const (
	uniqueViolation       = "23505"
	readOnlyTransaction   = "25006"
	invalidStatementName  = "26000"
	invalidPassword       = "28P01"
	invalidAuthorization  = "28000"
	noSuchDatabase        = "3D000"
	serializationFailure  = "40001"
	deadlockDetected      = "40P01"
	duplicateObject       = "42710"
	duplicateStatement    = "42P05"
	duplicateTable        = "42P07"
	undefinedTable        = "42P01"
	insufficientPrivilege = "42501"
	diskFull              = "53100"
	tooManyConnections    = "53300"
	adminShutdown         = "57P01"
	crashShutdown         = "57P02"
	cannotConnectNow      = "57P03"
)

// errRowLocked is the error for a session whose row stays locked, because another
// client has left a transaction open.
var errRowLocked = errors.New("another transaction keeps its row locked: look for \"idle in transaction\" " +
	"in pg_stat_activity, and set idle_in_transaction_session_timeout")

// code returns the SQLSTATE of an error, or "" if the database did not report the
// error.
func code(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}

// isLost reports whether the store lost the connection or could not open one. The
// database may or may not have executed the statement.
func isLost(err error) bool {
	switch code := code(err); code {
	case "":
		return !errors.Is(err, pgx.ErrNoRows) && !errors.Is(err, group.ErrClosed)
	case adminShutdown, crashShutdown, cannotConnectNow, readOnlyTransaction:
		return true // also after a failover: this server is a standby now
	default:
		return code[:2] == "08"
	}
}

// explain adds to an error which database the store was using, what for, and what the
// operator can do. It returns nil for nil.
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	case errors.Is(err, errRowLocked) && ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w (%w)", doing, s.name, ctx.Err(), errRowLocked)
	case ctx.Err() != nil:
		return fmt.Errorf("%s: %s: %w", doing, s.name, ctx.Err())
	case code(err) == uniqueViolation:
		return fmt.Errorf("%s: %w", doing, store.ErrExists)
	}
	if advice := advise(code(err)); advice != "" {
		return fmt.Errorf("%s: %s: %w: %s", doing, s.name, err, advice)
	}
	return fmt.Errorf("%s: %s: %w", doing, s.name, err)
}

// advise returns what an operator can do about an error with this SQLSTATE.
func advise(code string) string {
	switch code {
	case invalidPassword, invalidAuthorization:
		return "check user and password in the URL, in PGPASSWORD or in ~/.pgpass, and the server's pg_hba.conf"
	case noSuchDatabase:
		return "create it with createdb, or name another database in the URL"
	case insufficientPrivilege:
		return "let the user create tables (GRANT CREATE ON SCHEMA public), or start Tandem once as a user who may create them and " +
			"then GRANT SELECT, INSERT, UPDATE, DELETE ON the tables whose names begin with tandem_"
	case undefinedTable:
		return "a table was dropped: restore it from a backup, or drop tandem_migrations as well to start with empty tables"
	case diskFull:
		return "its disk is full: free some space, and Tandem continues by itself"
	case readOnlyTransaction:
		return "it cannot be written: is it a standby? name the primary in the URL, or several hosts with target_session_attrs=read-write"
	case tooManyConnections:
		return "lower pool_max_conns in the URL, raise its max_connections or put PgBouncer in front of it"
	}
	return ""
}

// isConnectError reports whether the store failed to open a connection, so that it sent
// no statement.
func isConnectError(err error) bool {
	var failure *pgconn.ConnectError
	return errors.As(err, &failure)
}
