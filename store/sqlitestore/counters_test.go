package sqlitestore

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// The test reads SQLite's counter and query plan: a refresh changes one row, also when
// many share a commit, and touches no index.
func TestARefreshChangesOneRowAndNoIndex(t *testing.T) {
	const sessions, refreshes = 16, 20
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for i := range sessions {
		if err := s.Create(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	before := s.totalChanges(t)
	var all sync.WaitGroup
	for i := range sessions {
		all.Go(func() {
			session := numbered(i)
			for range refreshes {
				got, err := s.Confirm(t.Context(), session.ID, session.Successor(7), time.Now())
				if err != nil || !got.Confirmed {
					t.Errorf("Confirm: %+v, %v", got, err)
				}
				session = got.Session
			}
		})
	}
	all.Wait()
	if n := s.totalChanges(t) - before; n != sessions*refreshes {
		t.Errorf("%d refreshes changed %d rows", sessions*refreshes, n)
	}
	for _, opcode := range s.plan(t, advance) {
		if opcode == "IdxInsert" || opcode == "IdxDelete" {
			t.Errorf("the plan has %s in it", opcode)
		}
	}
}

// Ping tells whether the database can be written, so it writes each time, also twice within
// a millisecond.
func TestAPingWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tandem.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var before int64
	for i := range 20 {
		if err := s.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		log, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		if log.Size() <= before {
			t.Fatalf("ping %d wrote nothing", i)
		}
		before = log.Size()
	}
}

// A sweep looks for idle sessions along the table, a bounded part of it at a time.
func TestASweepWalksAlongTheTable(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	steps, err := collect(t.Context(), s, "explain", func(row row) (detail string, err error) {
		var other any
		err = row.Scan(&other, &other, &other, &detail)
		return detail, err
	}, "EXPLAIN QUERY PLAN "+idleAmongNext, 0, 0, 0)
	if err != nil || !slices.Contains(steps, "SEARCH sessions USING INTEGER PRIMARY KEY (rowid>?)") {
		t.Errorf("%q, %v", steps, err)
	}
}

// totalChanges returns how many rows the writer's connection has changed.
func (s *Store) totalChanges(t *testing.T) (n int) {
	t.Helper()
	if err := s.writer.conn.QueryRowContext(t.Context(), "SELECT total_changes()").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// plan returns the operations of a statement with six parameters.
func (s *Store) plan(t *testing.T, statement string) []string {
	t.Helper()
	operations, err := collect(t.Context(), s, "explain", func(row row) (opcode string, err error) {
		var other any
		err = row.Scan(&other, &opcode, &other, &other, &other, &other, &other, &other)
		return opcode, err
	}, "EXPLAIN "+statement, 0, 0, 0, 0, 0, 0)
	if err != nil || len(operations) == 0 {
		t.Fatalf("%d operations, %v", len(operations), err)
	}
	return operations
}
