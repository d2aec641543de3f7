package engines_test

import (
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
)

// GoBack removes tables written since Save, and restores those from before.
func TestAPostgresThatGoesBack(t *testing.T) {
	e := enginetest.Postgres(t)
	exec := func(statement string) error { return e.Exec(t.Context(), "postgres", statement) }
	enginetest.Do(t,
		func() error { return exec("CREATE TABLE before ()") },
		e.Stop, e.Save, e.Start,
		func() error { return exec("CREATE TABLE after ()") },
		e.Kill, e.Start,
		func() error { return exec("SELECT FROM after") },
		e.Stop, e.GoBack, e.Start,
		func() error { return exec("SELECT FROM before") },
	)
	if exec("SELECT FROM after") == nil {
		t.Error("what was written after the copy is still there")
	}
}

func TestABouncer(t *testing.T) {
	e := enginetest.Postgres(t)
	b := enginetest.Bouncer(t, e)
	behind := &engines.Postgres{Engine: b.Engine}
	if err := behind.Exec(t.Context(), "postgres", "SELECT 1"); err != nil {
		t.Error(err)
	}
}

func TestARedis(t *testing.T) {
	e := enginetest.Redis(t, "--appendonly", "yes")
	enginetest.Do(t, e.Kill, e.Start, e.Pause, e.Resume, e.Stop, e.Stop)
}
