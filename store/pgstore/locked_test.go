package pgstore_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/pgstore"
)

// openTransaction executes a statement in a transaction that stays open, like one that
// an operator forgot. The function that it returns rolls the transaction back.
func openTransaction(t *testing.T, url, statement string) (rollBack func()) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN; "+statement); err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if _, err := conn.Exec(t.Context(), "ROLLBACK"); err != nil {
			t.Fatal(err)
		}
	}
}

// createMany opens a store with few connections, and creates the given number of
// sessions.
func createMany(t *testing.T, url string, sessions int) *pgstore.Store {
	t.Helper()
	s := open(t, url+"&pool_max_conns=4")
	for i := range sessions {
		session := numbered(i)
		if i > 0 {
			session.Subject = "bob"
		}
		if err := s.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A locked row blocks only its own session. The clients of locked sessions keep trying
// to refresh and to sign out, and there are more of them than connections; the store
// serves all other sessions meanwhile.
func TestRowsThatSomebodyHasLocked(t *testing.T) {
	const locked, all = 8, 140
	url := enginetest.Database(t, enginetest.Postgres(t, engines.NoFsync))
	s := createMany(t, url, all)
	rollBack := openTransaction(t, url, `SELECT FROM tandem_sessions ORDER BY id LIMIT 8 FOR UPDATE`)

	stop := make(chan struct{})
	var explained atomic.Bool
	var blocked, others sync.WaitGroup
	again := func(call func(ctx context.Context) error) {
		blocked.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				err := call(ctx)
				cancel()
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("a session whose row is locked: %v, want context.DeadlineExceeded", err)
					return
				}
				if strings.Contains(err.Error(), "locked") {
					explained.Store(true)
				}
			}
		})
	}
	for i := range locked {
		again(func(ctx context.Context) error { _, err := rotate(ctx, s, numbered(i), 1); return err })
		again(func(ctx context.Context) error {
			_, err := s.End(ctx, numbered(i).ID, store.End{Reason: rotation.SignedOut, At: time.Now()})
			return err
		})
	}
	var failed atomic.Int64
	for i := locked; i < all; i++ {
		others.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			if _, err := rotate(ctx, s, numbered(i), 5); err != nil && failed.Add(1) == 1 {
				t.Error(err)
			}
		})
	}
	others.Wait()
	if n := failed.Load(); n > 0 {
		t.Errorf("%d of %d sessions whose rows nobody has locked could not be refreshed", n, all-locked)
	}
	close(stop)
	blocked.Wait()
	if !explained.Load() {
		t.Error("no error says that a row is locked")
	}
	rollBack()
	for i := range locked {
		if _, err := rotate(t.Context(), s, numbered(i), 1); err != nil {
			t.Errorf("once its row is free: %v", err)
		}
	}
}

// EndSubject ends all sessions except the locked one, and returns an error about that
// one.
func TestEndingAllSessionsWhereOneIsLocked(t *testing.T) {
	const all = 20
	url := enginetest.Database(t, enginetest.Postgres(t, engines.NoFsync))
	s := createMany(t, url, all)
	rollBack := openTransaction(t, url, `SELECT FROM tandem_sessions WHERE subject = 'bob' ORDER BY id LIMIT 1 FOR UPDATE`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	n, err := s.EndSubject(ctx, "bob", rotation.Revoked, time.Now())
	if n != all-2 || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("EndSubject: %d, %v; want %d and that one is locked", n, err, all-2)
	}
	if listed, err := s.List(t.Context(), "bob", store.Page{}); err != nil || len(listed) != 1 || listed[0].ID != numbered(1).ID {
		t.Errorf("List: %+v, %v; want the one that is locked", listed, err)
	}
	rollBack()
	if n, err := s.EndSubject(t.Context(), "bob", rotation.Revoked, time.Now()); n != 1 || err != nil {
		t.Errorf("EndSubject, once the row is free: %d, %v", n, err)
	}
}

// Neither Sweep nor Ping waits for a locked row.
func TestWhatPassesLockedRowsBy(t *testing.T) {
	url := enginetest.Database(t, enginetest.Postgres(t, engines.NoFsync))
	s := createMany(t, url, 10)
	openTransaction(t, url, `SELECT FROM tandem_sessions ORDER BY id LIMIT 3 FOR UPDATE; UPDATE tandem_health SET pinged_at = now()`)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if n, err := s.Sweep(ctx, time.Now().Add(24*time.Hour), time.Time{}); n != 7 || err != nil {
		t.Errorf("Sweep: %d, %v; want the 7 that are not locked", n, err)
	}
	if err := s.Ping(ctx); err != nil {
		t.Errorf("Ping: %v", err)
	}
}
