// Package enginetest starts database servers for tests, and stops them when the
// test ends.
package enginetest

import (
	"errors"
	"io"
	"testing"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

// Postgres starts a PostgreSQL server.
func Postgres(t testing.TB, settings ...string) *engines.Postgres {
	t.Helper()
	e, err := engines.NewPostgres(settings...)
	return started(t, "postgresql", e, err)
}

// Database creates an empty database and returns its URL.
func Database(t testing.TB, e *engines.Postgres) string {
	t.Helper()
	name, err := e.NewDatabase(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e.URL(name)
}

// Bouncer starts a PgBouncer in front of a PostgreSQL server.
func Bouncer(t testing.TB, before *engines.Postgres) *engines.Bouncer {
	t.Helper()
	e, err := engines.NewBouncer(before)
	return started(t, "pgbouncer", e, err)
}

// Redis starts a Redis server.
func Redis(t testing.TB, settings ...string) *engines.Redis {
	t.Helper()
	e, err := engines.NewRedis(settings...)
	return started(t, "redis-server", e, err)
}

// RedisCluster starts a Redis Cluster.
func RedisCluster(t testing.TB, settings ...string) *engines.RedisCluster {
	t.Helper()
	e, err := engines.NewRedisCluster(settings...)
	return started(t, "redis-server", e, err)
}

// RedisSentinel starts a Redis server with a replica and Sentinels.
func RedisSentinel(t testing.TB, settings ...string) *engines.RedisSentinel {
	t.Helper()
	e, err := engines.NewRedisSentinel(settings...)
	return started(t, "redis-server", e, err)
}

// Relay starts a relay to a target, which is a host with a port.
func Relay(t testing.TB, target string) *engines.Relay {
	t.Helper()
	r, err := engines.NewRelay(target)
	return started(t, "a relay", r, err)
}

func started[E io.Closer](t testing.TB, part string, e E, err error) E {
	t.Helper()
	if errors.Is(err, engines.ErrNotInstalled) {
		need.Missing(t, part)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// Do runs steps, such as Stop or Start, and fails the test if one returns an error.
func Do(t testing.TB, steps ...func() error) {
	t.Helper()
	for _, step := range steps {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}
