package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"sync"
)

// largestBatch bounds how many writes share a commit, and so how long one may
// have to wait for the others.
const largestBatch = 512

// errClosed is for calls after Close.
var errClosed = errors.New("the store is closed")

// A write is one statement, and somebody who waits for it.
type write struct {
	ctx       context.Context
	statement string
	args      []any
	scan      func(row) error // of the row that the statement returns, if it returns one

	done    chan struct{} // closed once changed and err are set
	changed int64
	err     error
}

// A writer is the one that writes. What comes while it is at a commit shares the
// next one: the more writers there are at once, the fewer commits each costs. A
// lone one waits for nobody.
type writer struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	queue      chan *write
	stop       chan struct{}
	stopOnce   sync.Once
	stopped    chan struct{} // closed when run has returned
}

func newWriter(ctx context.Context, db *sql.DB) (*writer, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	w := &writer{
		conn:       conn,
		statements: map[string]*sql.Stmt{},
		queue:      make(chan *write, largestBatch),
		stop:       make(chan struct{}),
		stopped:    make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// close lets what is queued be written, and waits for that. It may be called
// twice.
func (w *writer) close() error {
	w.stopOnce.Do(func() { close(w.stop) })
	<-w.stopped
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
func (w *writer) do(ctx context.Context, one *write) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	one.ctx, one.done = ctx, make(chan struct{})
	select {
	case <-w.stop:
		return 0, errClosed
	default:
	}
	select {
	case w.queue <- one:
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-w.stop:
		return 0, errClosed
	}
	select {
	case <-one.done:
		return one.changed, one.err
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-w.stopped:
	}
	select {
	case <-one.done:
		return one.changed, one.err
	default: // it got into the queue behind the last look
		return 0, errClosed
	}
}

func (w *writer) run() {
	defer close(w.stopped)
	for {
		select {
		case first := <-w.queue:
			w.writeBatch(w.collect(first))
		case <-w.stop:
			w.drain()
			return
		}
	}
}

// drain answers what has got into the queue before the end.
func (w *writer) drain() {
	for {
		select {
		case first := <-w.queue:
			w.writeBatch(w.collect(first))
		default:
			return
		}
	}
}

// collect takes what is queued behind first, without waiting for more. Whoever is
// ready to run does so before: where the processors are busy, some are about to write.
func (w *writer) collect(first *write) []*write {
	runtime.Gosched()
	batch := []*write{first}
	for len(batch) < largestBatch {
		select {
		case next := <-w.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// writeBatch carries out all of a batch in one transaction and answers each. A
// statement that fails alone, such as an ID that is taken, fails alone.
func (w *writer) writeBatch(batch []*write) {
	err := w.transact(batch)
	for _, one := range batch {
		if err != nil {
			one.changed, one.err = 0, err
		}
		close(one.done)
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
	if one.err = one.ctx.Err(); one.err != nil {
		return // nobody waits any more
	}
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
