package pgstore_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store/pgstore"
)

// A sweep looks for idle sessions along the primary key, a bounded part of the table at a
// time.
func TestASweepWalksAlongTheKey(t *testing.T) {
	url := enginetest.Database(t, enginetest.Postgres(t, engines.NoFsync))
	createMany(t, url, 3000)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `ANALYZE tandem_sessions`); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `EXPLAIN `+pgstore.IdleAmongNext, rotation.SessionID{}.String(), time.Now(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil || !strings.Contains(strings.Join(plan, "\n"), "Index Scan using tandem_sessions_pkey") {
		t.Errorf("%v\n%s", err, strings.Join(plan, "\n"))
	}
}
