package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tandem-auth/tandem/store/internal/group"
)

// largestBatch bounds how many writes share a commit, and so how long a write waits for
// the others.
const largestBatch = 512

// A write is one statement and its result.
type write struct {
	statement string
	args      []any
	scan      func(row) error // scans the row that the statement returns; nil if it returns none

	changed int64
	err     error
}

// A writer makes all writes to the file, on one connection. Writes that arrive during a
// commit share the next commit.
type writer struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt // used by the group's worker, and by close after that
	group      *group.Group[write]
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{conn: conn, statements: map[string]*sql.Stmt{}}
	w.group = group.New(group.Config[write]{Workers: 1, Largest: largestBatch, CarryOut: w.writeBatch})
	return w, nil
}

// close waits until the queued writes are on the disk, and closes the connection. It
// may be called twice.
func (w *writer) close() error {
	w.group.Close()
	var errs []error
	for _, statement := range w.statements { // otherwise SQLite would leave its WAL behind
		errs = append(errs, statement.Close())
	}
	clear(w.statements)
	if err := w.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// do queues a write, waits until it is on the disk, and returns how many rows it
// changed. If ctx ends first, the writer may still execute the write.
func (w *writer) do(ctx context.Context, one write) (int64, error) {
	one, err := w.group.Do(ctx, one)
	if err != nil {
		return 0, err
	}
	return one.changed, one.err
}

// writeBatch executes a batch in one transaction. If one statement fails for a reason
// of its own, such as an ID that is taken, the others still take effect.
func (w *writer) writeBatch(batch []*write) {
	if err := w.transact(batch); err != nil {
		for _, one := range batch {
			one.changed, one.err = 0, err
		}
	}
}

// transact returns an error if SQLite wrote nothing of the batch.
func (w *writer) transact(batch []*write) error {
	// The transaction uses no caller's context: a caller that gives up must not abort
	// the writes of the others.
	ctx := context.Background()
	if len(batch) == 1 { // a single statement is a transaction by itself
		w.carryOut(ctx, batch[0])
		return nil
	}
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, one := range batch {
		w.carryOut(ctx, one)
		if endsTransaction(one.err) {
			_, _ = w.conn.ExecContext(ctx, "ROLLBACK") // SQLite may have rolled back already
			return one.err
		}
	}
	_, err := w.conn.ExecContext(ctx, "COMMIT")
	if err != nil {
		_, _ = w.conn.ExecContext(ctx, "ROLLBACK")
	}
	return err
}

func (w *writer) carryOut(ctx context.Context, one *write) {
	statement, err := w.prepared(ctx, one.statement) //nolint:sqlclosecheck // close does, when the writer ends
	if err != nil {
		one.err = err
		return
	}
	if one.scan != nil {
		one.changed, one.err = scanAll(ctx, statement, one)
		return
	}
	result, err := statement.ExecContext(ctx, one.args...)
	if err != nil {
		one.err = err
		return
	}
	one.changed, one.err = result.RowsAffected()
}

// scanAll reads all rows of a statement. Outside of a transaction SQLite commits the
// statement after the last row, and only then reports an error of the commit.
func scanAll(ctx context.Context, statement *sql.Stmt, one *write) (n int64, err error) {
	rows, err := statement.QueryContext(ctx, one.args...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		if err := one.scan(rows); err != nil {
			return n, err
		}
		n++
	}
	return n, rows.Err()
}

func (w *writer) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if statement, ok := w.statements[text]; ok {
		return statement, nil
	}
	statement, err := w.conn.PrepareContext(ctx, text)
	if err == nil {
		w.statements[text] = statement
	}
	return statement, err
}
