package pgstore_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/pgstore"
)

// rotate confirms the next refresh token of a session the given number of times.
func rotate(ctx context.Context, s *pgstore.Store, session store.Session, times int) (store.Session, error) {
	for range times {
		to := session.Successor(uint64(time.Now().UnixNano()))
		got, err := s.Confirm(ctx, session.ID, to, time.UnixMilli(time.Now().UnixMilli()))
		switch {
		case err != nil:
			return session, err
		case !got.Confirmed || got.Previous != session.Current.Generation || got.Session.Current != to:
			return session, fmt.Errorf("at %v: %+v", to, got)
		}
		session = got.Session
	}
	return session, nil
}

// The test reads PostgreSQL's own counters: a refresh is one transaction that updates
// one row and no index.
func TestARefreshUpdatesOneRowAndNoIndex(t *testing.T) {
	const sessions, refreshes = 40, 50
	e := enginetest.Postgres(t)
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, e.URL(name))
	for i := range sessions {
		if err := s.Create(t.Context(), numbered(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := counters(t, e, name)
	s = open(t, e.URL(name))
	for i := range sessions {
		if _, err := rotate(t.Context(), s, numbered(i), refreshes); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := counters(t, e, name)
	if n := after.updated - before.updated; n != sessions*refreshes {
		t.Errorf("%d rows were updated by %d refreshes", n, sessions*refreshes)
	}
	if n := after.updatedInPlace - before.updatedInPlace; n != sessions*refreshes {
		t.Errorf("%d of %d updates touched no index", n, sessions*refreshes)
	}
	if n := after.others - before.others; n != 0 {
		t.Errorf("%d rows were inserted or deleted", n)
	}
	if n := after.transactions - before.transactions; n > sessions*refreshes*11/10 {
		t.Errorf("%d transactions for %d refreshes", n, sessions*refreshes)
	}
}

type counts struct{ updated, updatedInPlace, others, transactions int64 }

func counters(t *testing.T, e *engines.Postgres, database string) (c counts) {
	t.Helper()
	awaitEnds(t, e, database)
	conn, err := pgx.Connect(t.Context(), e.URL(database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	err = conn.QueryRow(t.Context(), `
		SELECT sum(n_tup_upd), sum(n_tup_hot_upd), sum(n_tup_ins + n_tup_del),
			(SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database())
		FROM pg_stat_user_tables WHERE relname = 'tandem_sessions'`).
		Scan(&c.updated, &c.updatedInPlace, &c.others, &c.transactions)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// awaitEnds waits until nobody is connected to a database: a connection reports its
// counts when it ends, which happens shortly after Close.
func awaitEnds(t *testing.T, e *engines.Postgres, database string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for connected := 1; connected > 0; {
		if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = $1`, database).Scan(&connected); err != nil {
			t.Fatal(err)
		}
	}
}

// Callers do not notice that connections break, even if PostgreSQL executed the
// statement and only its answer was lost.
func TestConnectionsThatBreak(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := enginetest.Postgres(t)
	s := open(t, enginetest.Database(t, e))
	progress := make(chan struct{}, 1)
	var breaker, workers sync.WaitGroup
	breaker.Go(func() {
		for range progress {
			err := e.Exec(t.Context(), "postgres", `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tandem'`)
			if err != nil {
				t.Error(err)
			}
		}
	})
	for i := range 8 {
		workers.Go(func() {
			session := numbered(i)
			err := s.Create(t.Context(), session)
			for range 10 {
				if err == nil {
					session, err = rotate(t.Context(), s, session, 20)
				}
				select {
				case progress <- struct{}{}:
				default: // the other goroutine is still breaking connections
				}
			}
			if err == nil {
				_, err = s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: time.Now()})
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	close(progress)
	breaker.Wait()
}

// While the database is down, calls soon return an error that names it; once it is
// back, the store works again.
func TestADatabaseThatIsAway(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := enginetest.Postgres(t)
	s := open(t, enginetest.Database(t, e))
	session := someSession()
	if err := s.Create(t.Context(), session); err != nil {
		t.Fatal(err)
	}
	if _, err := s.End(t.Context(), session.ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	enginetest.Do(t, e.Kill)
	for what, call := range map[string]func() error{
		"Get":     func() error { _, err := s.Get(t.Context(), session.ID); return err },
		"Confirm": func() error { _, err := rotate(t.Context(), s, session, 1); return err },
		"Ping":    func() error { return s.Ping(t.Context()) },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), e.Address()) {
			t.Errorf("%s: %v, want an error with the address %s", what, err, e.Address())
		}
	}
	enginetest.Do(t, e.Start)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("once it is back: %v", err)
	}
	if got, err := s.Get(t.Context(), session.ID); err != nil || got.EndReason != rotation.SignedOut {
		t.Errorf("a session that was signed out before the crash: %+v, %v", got, err)
	}
}

// If the database hangs, a call returns when its context ends.
func TestADatabaseThatHangs(t *testing.T) {
	e := enginetest.Postgres(t)
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, e.URL(name))
	conn, err := pgx.Connect(t.Context(), e.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE tandem_sessions"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := s.Create(ctx, someSession()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want context.DeadlineExceeded", err)
	}
}

func TestOpenNamesWhatIsInTheWay(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	e := enginetest.Postgres(t)
	exec := func(database, statement string) {
		t.Helper()
		if err := e.Exec(t.Context(), database, statement); err != nil {
			t.Fatal(err)
		}
	}
	newDatabase := func(options ...string) string {
		name, err := e.NewDatabase(t.Context(), options...)
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	as := func(address, user, password string) string {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		u.User = url.UserPassword(user, password)
		return u.String()
	}
	exec("postgres", "CREATE ROLE guest LOGIN")

	newer := newDatabase()
	if err := open(t, e.URL(newer)).Close(); err != nil {
		t.Fatal(err)
	}
	exec(newer, "INSERT INTO tandem_migrations (version_id, is_applied) VALUES (999, true)")
	readOnly := newDatabase()
	exec("postgres", "ALTER DATABASE "+readOnly+" SET default_transaction_read_only = on")
	latin := newDatabase("ENCODING 'LATIN1' TEMPLATE template0")
	bytesOnly := newDatabase("ENCODING 'SQL_ASCII' TEMPLATE template0")
	unreachable := fmt.Sprintf("postgres://ann:geheim@127.0.0.1:%d/db", 1)

	for name, c := range map[string]struct {
		url  string
		want []string
	}{
		"a URL that is none":         {"postgres://ann:ge heim@host:54x/db", []string{"cannot be read", "postgres://USER:PASSWORD@HOST"}},
		"a pool size that is none":   {e.URL("postgres") + "&pool_max_conns=geheim", []string{"cannot be read"}},
		"a server that is not there": {unreachable, []string{"127.0.0.1", "connect"}},
		"a database that is not":     {e.URL("nowhere"), []string{`"nowhere"`, "createdb"}},
		"a user without rights":      {as(e.URL(newDatabase()), "guest", "geheim"), []string{`user "guest"`, "GRANT CREATE"}},
		"a newer schema":             {e.URL(newer), []string{"a newer Tandem (schema 999", newer}},
		"another encoding":           {e.URL(latin), []string{latin, "LATIN1", "createdb --encoding=UTF8 --template=template0"}},
		"no encoding at all":         {e.URL(bytesOnly), []string{bytesOnly, "SQL_ASCII", "createdb --encoding=UTF8 --template=template0"}},
		"a database to read only":    {e.URL(readOnly), []string{readOnly, "is it a standby"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := pgstore.Open(t.Context(), c.url)
			if err == nil {
				_ = s.Close()
				t.Fatal("Open has no error")
			}
			for _, part := range c.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, err)
				}
			}
			if strings.Contains(err.Error(), "heim") {
				t.Errorf("the password is in the error: %v", err)
			}
		})
	}
}

// An operator may create the tables, and grant the server's user only reading and
// writing.
func TestAUserWhoMayOnlyUseTheTables(t *testing.T) {
	e := enginetest.Postgres(t)
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	open(t, e.URL(name))
	for _, statement := range []string{
		"CREATE ROLE server LOGIN",
		"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO server",
	} {
		if err := e.Exec(t.Context(), name, statement); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, strings.Replace(e.URL(name), "tandem@", "server@", 1))
	if err := s.Create(t.Context(), someSession()); err != nil {
		t.Error(err)
	}
}

func TestWarnings(t *testing.T) {
	for setting, want := range map[string]string{
		"fsync=off":              "fsync is off",
		"synchronous_commit=off": "synchronous_commit is off",
		"synchronous_commit=on":  "",
	} {
		e := enginetest.Postgres(t, setting)
		got := open(t, e.URL("postgres")).Warning()
		if !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("%s: %q, want %q", setting, got, want)
		}
	}
}

// A distributed database that speaks the protocol need not know all settings; here a
// function named current_setting simulates that.
func TestADatabaseWithoutTheSettings(t *testing.T) {
	e := enginetest.Postgres(t)
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		"CREATE SCHEMA other",
		"CREATE FUNCTION other.current_setting(text, boolean) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
		"ALTER DATABASE " + name + " SET search_path = other, pg_catalog",
	} {
		if err := e.Exec(t.Context(), name, statement); err != nil {
			t.Fatal(err)
		}
	}
	if warning := open(t, e.URL(name)).Warning(); warning != "" {
		t.Errorf("Warning: %q", warning)
	}
}

// Names with any characters work, whatever client encoding the database, the user or
// the URL sets.
func TestAnotherClientEncoding(t *testing.T) {
	e := enginetest.Postgres(t, engines.NoFsync)
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Exec(t.Context(), name, "ALTER DATABASE "+name+" SET client_encoding = 'LATIN1'"); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{e.URL(name), e.URL(name) + "&client_encoding=GBK"} {
		s := open(t, url)
		user := store.User{Name: "小明 of " + url, Subject: url, PasswordHash: "$hash$", Version: 1}
		if err := s.AddUser(t.Context(), user); err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if got, err := s.UserByName(t.Context(), user.Name); err != nil || got.Name != user.Name {
			t.Errorf("%s: %+v, %v", url, got, err)
		}
		if got := encoded(t, e, name, url); got != user.Name {
			t.Errorf("%s: the database has the name %q", url, got)
		}
	}
}

// encoded returns a user's name as the database stores it.
func encoded(t *testing.T, e *engines.Postgres, database, subject string) (name string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), e.URL(database)+"&client_encoding=UTF8")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), "SELECT name FROM tandem_users WHERE subject = $1", subject).Scan(&name); err != nil {
		t.Fatal(err)
	}
	return name
}

// Several servers start at the same time on an empty database.
func TestManyMayOpenANewDatabaseAtOnce(t *testing.T) {
	openAtOnce(t, enginetest.Database(t, enginetest.Postgres(t)))
}

// All servers of an upgrade start at the same time, and each finds the schema of the version
// before.
func TestManyMayUpgradeADatabaseAtOnce(t *testing.T) {
	e := enginetest.Postgres(t)
	for range 5 {
		database, err := e.NewDatabase(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_ = open(t, e.URL(database))
		for _, statement := range []string{
			"DROP TABLE tandem_audit",
			"ALTER TABLE tandem_users DROP COLUMN roles, DROP COLUMN disabled_at, DROP COLUMN unlocked_at",
			"DELETE FROM tandem_migrations WHERE version_id = 4",
		} {
			if err := e.Exec(t.Context(), database, statement); err != nil {
				t.Fatal(err)
			}
		}
		openAtOnce(t, e.URL(database))
	}
}

// openAtOnce opens the database from eight sides at once.
func openAtOnce(t *testing.T, address string) {
	t.Helper()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, err := pgstore.Open(t.Context(), address)
			if err != nil {
				t.Error(err)
				return
			}
			_ = s.Close()
		})
	}
	all.Wait()
}

// After a failover behind a name or a proxy, existing connections lead to a standby:
// the old primary refuses writes. The store reconnects and reaches the new primary.
func TestAPrimaryThatBecomesAStandby(t *testing.T) {
	first, second := enginetest.Postgres(t, engines.NoFsync), enginetest.Postgres(t, engines.NoFsync)
	session := someSession()
	var there *pgstore.Store                               // the new primary
	for _, e := range []*engines.Postgres{first, second} { // both get the session, as by replication
		there = open(t, e.URL("postgres"))
		if err := there.Create(t.Context(), session); err != nil {
			t.Fatal(err)
		}
	}
	relay := enginetest.Relay(t, first.Address())
	s := open(t, strings.Replace(first.URL("postgres"), first.Address(), relay.Address(), 1))
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"} {
		if err := first.Exec(t.Context(), "postgres", statement); err != nil {
			t.Fatal(err)
		}
	}
	relay.MoveTo(second.Address())
	for began := time.Now(); ; { // a backend may not have read the new configuration yet
		session.Current = session.Successor(7)
		if _, err := s.Confirm(t.Context(), session.ID, session.Current, time.Now()); err != nil {
			t.Fatal(err)
		}
		got, err := there.Get(t.Context(), session.ID)
		switch {
		case err != nil:
			t.Fatal(err)
		case got.Current == session.Current:
			return
		case time.Since(began) > 10*time.Second:
			t.Fatal("after 10 seconds the store still writes to the old primary")
		}
	}
}
