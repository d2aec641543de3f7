package bench

import (
	"io"
	"maps"
	"net"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
)

func TestRowsArePostgresOwn(t *testing.T) {
	server := enginetest.Postgres(t)
	e := &postgres{Postgres: server, url: enginetest.Database(t, server)}
	do := func(statement string) {
		t.Helper()
		if err := server.Exec(t.Context(), "db1", statement); err != nil {
			t.Fatal(err)
		}
	}
	count := func() map[string]int64 {
		t.Helper()
		counts, err := e.count(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return counts
	}
	do("CREATE TABLE tandem_sessions (id int PRIMARY KEY, n int) WITH (fillfactor = 50)")
	do("INSERT INTO tandem_sessions VALUES (1, 0), (2, 0), (3, 0)")
	before := count()
	do("UPDATE tandem_sessions SET n = 1")
	do("DELETE FROM tandem_sessions WHERE id = 1")

	want := map[string]int64{"rows updated": 3, "rows updated, HOT": 3, "rows deleted": 1}
	if got := difference(before, count()); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCommandsAreRedisOwn(t *testing.T) {
	e := redis{enginetest.Redis(t)}
	before, err := e.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", e.Address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	requests := "EVAL \"return redis.call('hset', 'a', 'b', 'c')\" 0\r\nHSET a b d\r\nQUIT\r\n"
	if _, err := io.WriteString(conn, requests); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(conn); err != nil {
		t.Fatal(err)
	}
	after, err := e.count(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d := difference(before, after)
	if d["hset"] != 2 || d["eval"] != 1 {
		t.Errorf("got %v, want 2 hset and 1 eval", d)
	}
}
