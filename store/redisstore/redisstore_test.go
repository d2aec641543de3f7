package redisstore_test

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
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
	"github.com/tandem-auth/tandem/store/redisstore"
	"github.com/tandem-auth/tandem/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// suites runs all suites, each test with a prefix of its own on the server.
func suites(t *testing.T, url string) {
	places := 0
	newPlace := func(t testing.TB) func() *redisstore.Store {
		places++
		place := fmt.Sprintf("%s?prefix=place%d:", url, places)
		return func() *redisstore.Store { return open(t, place) }
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

func TestStore(t *testing.T) { suites(t, durable(t).URL()) }

// A Cluster of one node also refuses a command on keys of several slots, which larger
// Clusters refuse.
func TestStoreOnACluster(t *testing.T) {
	if testing.Short() {
		t.Skip("the suite runs on a single server")
	}
	bus, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(bus.Addr().String())
	_ = bus.Close()
	e := enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "always", "--cluster-enabled", "yes", "--cluster-port", port)
	do(t, e, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	for !strings.Contains(do(t, e, "CLUSTER", "INFO"), "cluster_state:ok") {
		if t.Context().Err() != nil {
			t.Fatal("the Cluster does not get ready")
		}
	}
	suites(t, e.URL())
}

func open(t testing.TB, url string) *redisstore.Store {
	t.Helper()
	s, err := redisstore.Open(context.Background(), url)
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

// durable starts a server that answers only when a change is on the disk.
func durable(t testing.TB) *engines.Redis {
	t.Helper()
	return enginetest.Redis(t, "--appendonly", "yes", "--appendfsync", "always")
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

// rotate confirms the next refresh token of a session the given number of times.
func rotate(ctx context.Context, s *redisstore.Store, session store.Session, times int) (store.Session, error) {
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

func BenchmarkConfirm(b *testing.B) {
	for _, fsync := range []string{"always", "everysec"} {
		b.Run("appendfsync="+fsync, func(b *testing.B) {
			e := enginetest.Redis(b, "--appendonly", "yes", "--appendfsync", fsync)
			s := open(b, e.URL())
			var sessions atomic.Int64
			b.SetParallelism(max(1, 32/runtime.GOMAXPROCS(0)))
			b.RunParallel(func(pb *testing.PB) {
				session := numbered(int(sessions.Add(1)))
				err := s.Create(b.Context(), session)
				for err == nil && pb.Next() {
					session, err = rotate(b.Context(), s, session, 1)
				}
				if err != nil {
					b.Error(err)
				}
			})
		})
	}
}
