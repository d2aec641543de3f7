package redisstore_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/redisstore"
)

// After a failover, existing connections lead to a replica: a provider moved the name,
// or a proxy its target, and demoted the old primary without stopping it. The store
// reaches the new primary within seconds, without a restart.
func TestAPrimaryThatBecomesAReplica(t *testing.T) {
	for name, primarySettings := range map[string][]string{
		"and answers that it is one":                  nil,
		"and answers nothing before it has caught up": {"--replica-serve-stale-data", "no"},
	} {
		t.Run(name, func(t *testing.T) {
			first := enginetest.Redis(t, primarySettings...)
			second := enginetest.Redis(t)
			relay := enginetest.Relay(t, first.Address())
			s := open(t, "redis://"+relay.Address()+"/0")
			session, other := numbered(1), numbered(2)
			for _, one := range []store.Session{session, other} {
				if err := s.Create(t.Context(), one); err != nil {
					t.Fatal(err)
				}
			}
			within(t, func(ctx context.Context) error { return second.Follow(ctx, first) })

			do(t, second, "REPLICAOF", "NO", "ONE")
			relay.MoveTo(second.Address())
			if len(primarySettings) == 0 {
				within(t, func(ctx context.Context) error { return first.Follow(ctx, second) })
			} else { // make it follow a primary that it cannot reach
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
			if _, err := s.End(t.Context(), other.ID, store.End{Reason: rotation.SignedOut, At: time.Now()}); err != nil {
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

// failoverTimeout bounds how long the store may need to recover, in addition to the
// time that the servers take to detect the failure.
const failoverTimeout = 30 * time.Second

// A family is a set of sessions of one subject, which must survive failovers.
type family struct {
	*testing.T

	store    *redisstore.Store
	sessions []store.Session
}

func newFamily(t *testing.T, s *redisstore.Store) *family {
	t.Helper()
	f := &family{T: t, store: s}
	for i := range 60 {
		f.sessions = append(f.sessions, numbered(i))
		if err := s.Create(t.Context(), f.sessions[i]); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// refresh refreshes every session as its client would, which presents the same token
// again when the store is down. A failover may lose a confirmation, which presenting
// the token restores, but no session.
func (f *family) refresh(what string) {
	f.Helper()
	began := time.Now()
	var all sync.WaitGroup
	for i := range f.sessions {
		all.Go(func() {
			id, to := f.sessions[i].ID, f.sessions[i].Successor(uint64(began.UnixNano()))
			for {
				ctx, cancel := context.WithTimeout(f.Context(), 5*time.Second)
				got, err := f.store.Confirm(ctx, id, to, time.Now())
				cancel()
				switch {
				case err == nil && got.Session.Current == to:
					f.sessions[i] = got.Session
					return
				case err == nil:
					f.Errorf("%s, session %d: at %v after %v: %+v", what, i, to, time.Since(began), got)
					return
				case errors.Is(err, store.ErrNotFound), time.Since(began) > failoverTimeout:
					f.Errorf("%s, session %d: %v", what, i, err)
					return
				}
			}
		})
	}
	all.Wait()
	f.Logf("%s: all were refreshed after %v", what, time.Since(began).Round(10*time.Millisecond))
}

// end checks that the subject's list contains all sessions, and ends them.
func (f *family) end() {
	f.Helper()
	listed, err := f.store.List(f.Context(), "ann", store.Page{})
	if err != nil || len(listed) != len(f.sessions) {
		f.Errorf("List: %d sessions, %v; want %d", len(listed), err, len(f.sessions))
	}
	n, err := f.store.EndSubject(f.Context(), "ann", rotation.SignedOut, time.Now())
	if err != nil || n != len(f.sessions) {
		f.Errorf("EndSubject: %d, %v; want %d", n, err, len(f.sessions))
	}
	for _, session := range f.sessions {
		if got, err := f.store.Get(f.Context(), session.ID); err != nil || got.EndReason != rotation.SignedOut {
			f.Errorf("Get of one that has ended: %+v, %v", got, err)
		}
	}
}

// within runs steps, each of which may take half a minute.
func within(t *testing.T, steps ...func(ctx context.Context) error) {
	t.Helper()
	for _, step := range steps {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := step(ctx)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A primary of the Cluster is killed and its replica takes over. No session is lost,
// also when the killed server comes back as a replica, becomes the primary again, and
// hangs for a while.
func TestFailoverOfACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six servers, and waits until one of them is given up")
	}
	c := enginetest.RedisCluster(t)
	f := newFamily(t, open(t, c.URL()))
	f.refresh("before")
	within(t, c.AwaitReplicas)
	enginetest.Do(t, c.Primaries[0].Kill)
	f.refresh("a primary is killed")
	open(t, c.URL()) // a store opened during the failover must work, too
	enginetest.Do(t, c.Primaries[0].Start)
	within(t, c.AwaitReady, c.FailBack)
	f.refresh("it is a primary again")
	within(t, c.AwaitReady, c.AwaitReplicas)
	enginetest.Do(t, c.Primaries[0].Pause)
	f.refresh("a primary hangs")
	enginetest.Do(t, c.Primaries[0].Resume)
	f.refresh("it goes on, as a replica")
	within(t, c.AwaitReady)
	f.end()
}

// The primary and the first Sentinel are killed, and the replica takes over. No session
// is lost, also when the killed server comes back, the operator makes the Sentinels
// promote it again, and it hangs for a while.
func TestFailoverBySentinel(t *testing.T) {
	if testing.Short() {
		t.Skip("starts five servers, and waits until one of them is given up")
	}
	e := enginetest.RedisSentinel(t)
	f := newFamily(t, open(t, e.URL()))
	f.refresh("before")
	within(t, e.AwaitReplica)
	enginetest.Do(t, e.Primary.Kill, e.Sentinels[0].Kill) // they were on one machine
	f.refresh("the primary is killed")
	open(t, e.URL()) // a store opened during the failover must work, too
	e.Primary, e.Replica = e.Replica, e.Primary
	enginetest.Do(t, e.Replica.Start, e.Sentinels[0].Start)
	within(t, e.AwaitReady, e.AwaitReplica, e.FailOver)
	f.refresh("it is the primary again")
	e.Primary, e.Replica = e.Replica, e.Primary
	within(t, e.AwaitReady, e.AwaitReplica)
	enginetest.Do(t, e.Primary.Pause)
	f.refresh("the primary hangs")
	enginetest.Do(t, e.Primary.Resume)
	f.refresh("it goes on, as a replica")
	f.end()
}
