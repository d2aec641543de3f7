package keys_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

const day = 24 * time.Hour

// A site is some servers that share a store, and their operator.
type site struct {
	store    *sqlitestore.Store
	config   keys.Config
	nodes    []node
	operator keys.Operator
}

func newSite(t *testing.T, servers int, pollEvery time.Duration) *site {
	t.Helper()
	s := &site{store: newStore(t)}
	s.config = keys.Config{MasterKeys: []keys.MasterKey{newMaster(t)}, PollEvery: pollEvery}
	for range servers {
		s.nodes = append(s.nodes, newNode(t, s.store, s.config))
	}
	s.operator = keys.Operator{Store: s.store, MasterKeys: s.config.MasterKeys}
	return s
}

// inUse returns the ID of the key that makes tokens.
func (s *site) inUse(t *testing.T, use string) string {
	t.Helper()
	list, err := s.operator.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range list {
		if k.Use == use && k.InUse {
			return k.ID
		}
	}
	t.Fatalf("no key is in use for %s: %+v", use, list)
	return ""
}

func (s *site) revoke(t *testing.T, id string) {
	t.Helper()
	k, err := s.operator.Revoke(t.Context(), id)
	if err != nil || k.RevokedAt.IsZero() || k.InUse {
		t.Fatalf("revoke %s: %+v, %v", id, k, err)
	}
}

func (n node) status(p pair) int {
	r := httptest.NewRequest(http.MethodGet, "/auth/me", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+p.AccessToken)
	w := httptest.NewRecorder()
	n.ServeHTTP(w, r)
	return w.Code
}

// Within seconds of a revocation no server signs with the key, publishes it or accepts its
// tokens. Sessions go on. No server puts the key back, even after the store has gone back
// to a time before the revocation.
func TestARevokedSigningKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 3, keys.DefaultPollEvery)
		p := s.nodes[0].signIn(t)
		leaked := kid(t, p)
		before, _, err := s.store.LoadKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.revoke(t, leaked[:10])
		time.Sleep(keys.DefaultPollEvery + time.Second)
		next := p
		for i, n := range s.nodes {
			if _, published := n.published(t)[leaked]; published {
				t.Errorf("server %d publishes the revoked key", i)
			}
			if status := n.status(p); status != http.StatusUnauthorized {
				t.Errorf("server %d answers %d to what the revoked key signed", i, status)
			}
			if next = n.refresh(t, next); kid(t, next) == leaked {
				t.Errorf("server %d signs with the revoked key", i)
			}
			s.nodes[0].me(t, next)
		}

		_, version, err := s.store.LoadKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if saved, err := s.store.SaveKeys(t.Context(), before, version); !saved || err != nil {
			t.Fatal(saved, err)
		}
		time.Sleep(2 * time.Hour)
		next = s.nodes[0].refresh(t, next)
		late := newNode(t, s.store, s.config)
		for i, n := range append(s.nodes, late) {
			if _, published := n.published(t)[leaked]; published {
				t.Errorf("later server %d publishes the revoked key", i)
			}
			n.me(t, next)
		}
	})
}

// After the revocation of a refresh key, the servers refuse its tokens, and no others.
func TestARevokedRefreshKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2, keys.DefaultPollEvery)
		p := s.nodes[0].signIn(t)
		leaked := s.inUse(t, keys.RefreshKey)
		s.revoke(t, leaked)
		time.Sleep(keys.DefaultPollEvery + time.Second)
		for _, n := range s.nodes {
			if status, got := n.post("/auth/refresh-token", map[string]string{"refreshToken": p.RefreshToken}); status != 400 || got.Reason != "unknown" {
				t.Errorf("a token of the revoked key: %d %s", status, got.Reason)
			}
		}
		p = s.nodes[0].signIn(t)
		s.revoke(t, leaked) // revoking it again changes nothing
		p = s.nodes[1].refresh(t, p)
		s.nodes[0].refresh(t, p)
		if now := s.inUse(t, keys.RefreshKey); now == leaked {
			t.Error("the revoked key is in use")
		}
	})
}

// The next key, and never an older one, replaces a revoked key. The tokens of the key
// before the revoked one stay valid.
func TestTheNextKeyTakesThePlaceOfARevokedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2, time.Hour)
		p := s.nodes[0].signIn(t)
		for range 30 { // the second key is in use, the first still kept
			time.Sleep(day)
			p = s.nodes[0].refresh(t, p)
		}
		first := p
		rotated, err := s.operator.Rotate(t.Context())
		if err != nil || len(rotated) != 2 {
			t.Fatalf("%+v, %v", rotated, err)
		}
		again, err := s.operator.Rotate(t.Context())
		if err != nil || len(again) != 2 || again[0] != rotated[0] || again[1] != rotated[1] {
			t.Errorf("once more: %+v, %v; want %+v", again, err, rotated)
		}
		for _, use := range []string{keys.SigningKey, keys.RefreshKey} {
			old := s.inUse(t, use)
			s.revoke(t, old)
			if now := s.inUse(t, use); now != rotated[0].ID && now != rotated[1].ID {
				t.Errorf("%s: %s is in use, want one of %+v", use, now, rotated)
			}
		}
		time.Sleep(2 * time.Hour)
		p = s.nodes[1].signIn(t)
		if got := kid(t, p); got == kid(t, first) || got != rotated[0].ID {
			t.Errorf("signed with %s, want %s", got, rotated[0].ID)
		}
		s.nodes[0].refresh(t, p)
	})
}

// A key that Rotate makes is published before its first use, and every session goes on.
func TestRotatingByHand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 2, keys.DefaultPollEvery)
		p := s.nodes[0].signIn(t)
		s.operator.PublishAhead = time.Hour
		rotated, err := s.operator.Rotate(t.Context())
		if err != nil || len(rotated) != 2 || rotated[0].InUse || time.Until(rotated[0].ActiveFrom) != time.Hour {
			t.Fatalf("%+v, %v", rotated, err)
		}
		for i, want := range []bool{false, true, true} {
			p = s.nodes[i%2].refresh(t, p)
			if got := kid(t, p) == rotated[0].ID; got != want {
				t.Errorf("step %d: the new key is used: %t, want %t", i, got, want)
			}
			s.nodes[(i+1)%2].me(t, p)
			time.Sleep(time.Hour)
		}
	})
}

// A server does not refuse a token as unknown because it read the store just before the
// token's key was saved.
func TestAKeyThatIsNewerThanTheLastRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t, 1, time.Hour)
		s.config.PollEvery = 1000 * day
		other := newNode(t, s.store, s.config)
		if err := other.keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.revoke(t, s.inUse(t, keys.RefreshKey))
		if err := s.nodes[0].keys.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		p := s.nodes[0].signIn(t)
		other.refresh(t, p)
	})
}

// countingStore counts the reads, and fails them if the test says so.
type countingStore struct {
	keys.Store
	reads  atomic.Int64
	err    error
	atOnce bool // fail, instead of hanging first
}

func (s *countingStore) LoadKeys(ctx context.Context) ([]byte, int64, error) {
	s.reads.Add(1)
	if s.err != nil {
		if !s.atOnce {
			<-ctx.Done()
		}
		return nil, 0, s.err
	}
	return s.Store.LoadKeys(ctx)
}

// Concurrent tokens with unknown keys share one read of the store, even if it hangs.
func TestUnknownKeysShareAReadOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &countingStore{Store: newStore(t)}
		m := manager(t, keys.Config{Store: store, MasterKeys: []keys.MasterKey{newMaster(t)}, PollEvery: 1000 * day})
		reloads := func() (failed int64, took time.Duration) {
			var failures atomic.Int64
			began := time.Now()
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if err := m.Reload(t.Context()); err != nil {
						failures.Add(1)
					}
				})
			}
			all.Wait()
			return failures.Load(), time.Since(began)
		}
		before := store.reads.Load()
		if failed, took := reloads(); failed != 0 || took > time.Second || store.reads.Load()-before > 2 {
			t.Errorf("%d failed, after %s and %d reads", failed, took, store.reads.Load()-before)
		}
		store.err = errBroken
		if failed, took := reloads(); failed != 100 || took > 6*time.Second {
			t.Errorf("with a store that hangs, %d of 100 failed, after %s", failed, took)
		}
	})
}

// Clients send tokens with unknown keys, again and again. The server reads the store five
// times a second for all of them, also when each read fails.
func TestUnknownKeysDoNotLoadTheStore(t *testing.T) {
	for _, err := range []error{nil, errBroken} {
		synctest.Test(t, func(t *testing.T) {
			store := &countingStore{Store: newStore(t), atOnce: true}
			m := manager(t, keys.Config{Store: store, MasterKeys: []keys.MasterKey{newMaster(t)}, PollEvery: 1000 * day})
			store.err = err
			before, began := store.reads.Load(), time.Now()
			var requests atomic.Int64
			var clients sync.WaitGroup
			for range 100 {
				clients.Go(func() {
					for time.Since(began) < 10*time.Second {
						requests.Add(1)
						if got := m.Reload(t.Context()); !errors.Is(got, err) {
							t.Errorf("Reload: %v, want %v", got, err)
						}
					}
				})
			}
			clients.Wait()
			if reads := store.reads.Load() - before; reads > 51 || requests.Load() < 1000 {
				t.Errorf("%d reads for %d requests within %s", reads, requests.Load(), time.Since(began))
			}
		})
	}
}

func TestAnOperatorsErrors(t *testing.T) {
	s := &site{store: newStore(t)}
	s.operator = keys.Operator{Store: s.store, MasterKeys: []keys.MasterKey{newMaster(t)}}
	if _, err := s.operator.List(t.Context()); !errors.Is(err, keys.ErrNoKeys) {
		t.Errorf("without keys: %v", err)
	}
	manager(t, keys.Config{Store: s.store, MasterKeys: s.operator.MasterKeys})
	for _, id := range []string{"", "nonsense"} {
		if _, err := s.operator.Revoke(t.Context(), id); !errors.Is(err, keys.ErrUnknownKey) {
			t.Errorf("revoke %q: %v", id, err)
		}
	}
	found, err := s.operator.Find(t.Context(), s.inUse(t, keys.RefreshKey))
	if err != nil || !found.InUse || found.Use != keys.RefreshKey {
		t.Errorf("%+v, %v", found, err)
	}
	s.operator.MasterKeys = []keys.MasterKey{newMaster(t)}
	if _, err := s.operator.Rotate(t.Context()); !errors.Is(err, keys.ErrMasterKey) {
		t.Errorf("with another master key: %v", err)
	}
	s.operator.MasterKeys = nil
	if _, err := s.operator.List(t.Context()); err == nil || !strings.Contains(err.Error(), "MasterKeys") {
		t.Errorf("without a master key: %v", err)
	}
}
