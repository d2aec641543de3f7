package server_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

func TestNewRefreshKey(t *testing.T) {
	a, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := server.NewRefreshKey()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rotation.NewCodec(a, b); err != nil {
		t.Error(err)
	}
}

// changingKeys are keys that an operator changes while the server runs.
type changingKeys struct{ set atomic.Pointer[server.KeySet] }

func (k *changingKeys) KeySet() *server.KeySet       { return k.set.Load() }
func (k *changingKeys) Reload(context.Context) error { return nil }

// A storeWithHook calls a function before it confirms a token.
type storeWithHook struct {
	server.Store
	beforeConfirm func()
}

func (s *storeWithHook) Confirm(ctx context.Context, id rotation.SessionID, to rotation.Position, at time.Time) (store.Confirmation, error) {
	s.beforeConfirm()
	return s.Store.Confirm(ctx, id, to, at)
}

// A refresh is under way while an operator revokes the key of its token. The server makes
// the successor with the revoked key: whoever has it, the owner or a thief who has the key,
// does not get over to the next key.
func TestAKeyIsRevokedDuringARefresh(t *testing.T) {
	keySet := func() *server.KeySet {
		signing, err := server.GenerateSigningKey(server.ES256)
		if err != nil {
			t.Fatal(err)
		}
		refresh, err := server.NewRefreshKey()
		if err != nil {
			t.Fatal(err)
		}
		set, err := server.NewKeySet(signing, nil, []rotation.Key{refresh})
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	keys := &changingKeys{}
	keys.set.Store(keySet())
	hook := &storeWithHook{beforeConfirm: func() {}}
	h := newHarness(t, func(c *server.Config) {
		hook.Store = c.Store
		c.Store, c.Keys, c.SigningKey, c.RefreshKeys = hook, keys, server.SigningKey{}, nil
	})
	first := h.signedIn()
	hook.beforeConfirm = func() { keys.set.Store(keySet()) }
	second := h.refresh(first.RefreshToken)
	hook.beforeConfirm = func() {}
	second.want(t, http.StatusOK, "", "")
	h.refresh(second.RefreshToken).want(t, http.StatusBadRequest, "invalid_grant", "unknown")
}
