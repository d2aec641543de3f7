package pgstore_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/pgstore"
	"github.com/tandem-auth/tandem/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suites runs all suites. newURL creates an empty database and returns its URL.
func suites(t *testing.T, newURL func(t testing.TB) string) {
	newPlace := func(t testing.TB) func() *pgstore.Store {
		url := newURL(t)
		return func() *pgstore.Store { return open(t, url) }
	}
	storetest.Run(t, func(t testing.TB) func() server.Store {
		open := newPlace(t)
		return func() server.Store { return open() }
	})
	storetest.RunUsers(t, func(t testing.TB) func() directory.Users {
		open := newPlace(t)
		return func() directory.Users { return open() }
	})
	storetest.RunAudit(t, func(t testing.TB) func() audit.Store {
		open := newPlace(t)
		return func() audit.Store { return open() }
	})
	storetest.RunKeys(t, func(t testing.TB) func() keys.Store {
		open := newPlace(t)
		return func() keys.Store { return open() }
	})
	storetest.RunOnce(t, func(t testing.TB) func() server.OnceStore {
		open := newPlace(t)
		return func() server.OnceStore { return open() }
	})
	storetest.RunClients(t, func(t testing.TB) func() clients.Store {
		open := newPlace(t)
		return func() clients.Store { return open() }
	})
	storetest.RunEnded(t, newPlace)
}

func TestStore(t *testing.T) {
	e := enginetest.Postgres(t, engines.NoFsync)
	suites(t, func(t testing.TB) string { return enginetest.Database(t, e) })
}

// In transaction mode, PgBouncer may send two statements of one connection to two
// server connections.
func TestStoreBehindPgBouncer(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite runs on PostgreSQL itself")
	}
	e := enginetest.Postgres(t, engines.NoFsync)
	b := enginetest.Bouncer(t, e)
	suites(t, func(t testing.TB) string {
		name, err := e.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return b.URL(name)
	})
}

// SERIALIZABLE is the default of distributed databases: if two transactions conflict,
// the database refuses one with 40001, and the store must try again.
func TestStoreWithSerializableTransactions(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite runs with the default isolation")
	}
	e := enginetest.Postgres(t, engines.NoFsync, "default_transaction_isolation=serializable")
	suites(t, func(t testing.TB) string { return enginetest.Database(t, e) })
}

func open(t testing.TB, url string) *pgstore.Store {
	t.Helper()
	s, err := pgstore.Open(context.Background(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func someSession() store.Session {
	now := time.UnixMilli(time.Now().UnixMilli())
	return store.Session{
		ID:      rotation.SessionID{1},
		State:   rotation.State{ConfirmedAt: now, ExpiresAt: now.Add(time.Hour)},
		Subject: "ann", CreatedAt: now,
	}
}

func numbered(i int) store.Session {
	session := someSession()
	session.ID = rotation.SessionID{byte(i >> 8), byte(i)}
	return session
}
