package sqlitestore

import (
	"context"
	"database/sql"
	"errors"

	"github.com/tandem-auth/tandem/store/internal/group"
)

// largestBatch bounds how many writes share a commit, and so how long one may
// have to wait for the others.
const largestBatch = 512

// A write is one statement, and what came of it.
type write struct {
	statement string
	args      []any
	scan      func(row) error // of the row that the statement returns, if it returns one

	changed int64
	err     error
}

// A writer is the only one that writes to the file, on one connection. Writes that
// come while it commits share the next commit.
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

// close lets what is queued be written, and waits for that. It may be called
// twice.
func (w *writer) close() error {
	w.group.Close()
	var errs []error
	for _, statement := range w.statements { // else SQLite would leave its WAL behind
		errs = append(errs, statement.Close())
	}
	clear(w.statements)
	if err := w.conn.Close(); !errors.Is(err, sql.ErrConnDone) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// do queues a write and waits until it is on the disk. It returns how many rows
// were changed. If ctx ends while it waits, it may yet be written.
func (w *writer) do(ctx context.Context, one write) (int64, error) {
	one, err := w.group.Do(ctx, one)
	if err != nil {
		return 0, err
	}
	return one.changed, one.err
}

// writeBatch carries out all of a batch in one transaction. A
// statement that fails alone, such as an ID that is taken, fails alone.
func (w *writer) writeBatch(batch []*write) {
	if err := w.transact(batch); err != nil {
		for _, one := range batch {
			one.changed, one.err = 0, err
		}
	}
}

// transact returns an error if nothing of the batch was written.
func (w *writer) transact(batch []*write) error {
	// Those who wait must not be able to break each other's transaction.
	ctx := context.Background()
	if len(batch) == 1 { // is its own transaction
		w.carryOut(ctx, batch[0])
		return nil
	}
	if _, err := w.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	for _, one := range batch {
		w.carryOut(ctx, one)
		if endsTransaction(one.err) {
			_, _ = w.conn.ExecContext(ctx, "ROLLBACK") // if SQLite has not done so
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

// scanAll goes through the rows of a statement to their end, for what has no
// transaction around it is committed there, and may fail to be.
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
