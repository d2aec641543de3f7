package redisstore_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// follow makes one server the replica of another, and waits until it has all.
func follow(t *testing.T, replica, primary *engines.Redis) {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Address())
	if err != nil {
		t.Fatal(err)
	}
	do(t, replica, "REPLICAOF", host, port)
	await(t, "the replica follows", func() bool {
		return strings.Contains(do(t, replica, "INFO", "replication"), "master_link_status:up")
	})
}

// await asks until it is so, for half a minute at most.
func await(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	for began := time.Now(); !isSo(); {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("it is not so: %s", what)
		}
	}
}

// After a failover, the connections that there are lead to what is a replica now: a
// provider has moved the name, or a proxy its target, and demoted the old primary
// without ending it. The store goes on within seconds, without a restart.
func TestAPrimaryThatBecomesAReplica(t *testing.T) {
	for name, primarySettings := range map[string][]string{
		"and answers that it is one":                  nil,
		"and answers nothing before it has caught up": {"--replica-serve-stale-data", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			first := enginetest.Redis(t, append(primarySettings, "--repl-diskless-sync-delay", "0")...)
			second := enginetest.Redis(t, "--repl-diskless-sync-delay", "0")
			relay := enginetest.Relay(t, first.Address())
			s := open(t, "redis://"+relay.Address()+"/0")
			session, other := numbered(1), numbered(2)
			for _, one := range []store.Session{session, other} {
				if err := s.Create(t.Context(), one); err != nil {
					t.Fatal(err)
				}
			}
			follow(t, second, first)

			do(t, second, "REPLICAOF", "NO", "ONE")
			relay.MoveTo(second.Address())
			if len(primarySettings) == 0 {
				follow(t, first, second)
			} else { // it cannot reach the new primary
				do(t, first, "REPLICAOF", "127.0.0.1", "1")
			}
			began := time.Now()
			var err error
			for time.Since(began) < 10*time.Second {
				if session, err = rotate(t.Context(), s, session, 1); err == nil {
					break
				}
			}
			if err != nil {
				t.Fatalf("10 seconds after the failover: %v", err)
			}
			if _, err := rotate(t.Context(), s, session, 20); err != nil {
				t.Errorf("after that: %v", err)
			}
			if err := s.End(t.Context(), other.ID, rotation.SignedOut, time.Now()); err != nil {
				t.Errorf("End: %v", err)
			}
			if err := s.Ping(t.Context()); err != nil {
				t.Errorf("Ping: %v", err)
			}
			if err := s.AddUser(t.Context(), store.User{Name: "ann", Subject: "a"}); err != nil {
				t.Errorf("AddUser: %v", err)
			}
		})
	}
}
