package clients_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store/sqlitestore"
)

func open(t *testing.T) *sqlitestore.Store {
	t.Helper()
	s, err := sqlitestore.Open(context.Background(), filepath.Join(t.TempDir(), "tandem.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAClientIsKnownByItsSecret(t *testing.T) {
	store := open(t)
	r := clients.New(store)
	secret, err := r.Add(t.Context(), clients.Client{ID: "shop", Audiences: []string{"https://shop.example.com"}, MayIntrospect: true})
	if err != nil {
		t.Fatal(err)
	}
	if public, err := r.Add(t.Context(), clients.Client{ID: "phone", Public: true}); public != "" || err != nil {
		t.Errorf("a public client gets the secret %q, %v", public, err)
	}
	other := clients.New(store) // another server
	shop, err := other.Client(t.Context(), "shop")
	if err != nil || shop.SecretHash != server.HashClientSecret(secret) || !shop.MayIntrospect || shop.IsPublic() || len(shop.Audiences) != 1 {
		t.Errorf("the shop is %+v, %v", shop, err)
	}
	if phone, err := other.Client(t.Context(), "phone"); err != nil || !phone.IsPublic() {
		t.Errorf("the phone is %+v, %v", phone, err)
	}
	text, _, err := store.LoadClients(t.Context())
	if err != nil || strings.Contains(string(text), secret) {
		t.Errorf("the store keeps the secret, %v", err)
	}
	listed, err := r.List(t.Context())
	if err != nil || len(listed) != 2 || listed[0].ID != "phone" || listed[1].SecretHash != nil || listed[1].CreatedAt.IsZero() {
		t.Errorf("the list is %+v, %v", listed, err)
	}

	if _, err := r.Add(t.Context(), clients.Client{ID: "shop"}); !errors.Is(err, clients.ErrExists) {
		t.Errorf("a second shop: %v", err)
	}
	if err := r.Remove(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Client(t.Context(), "shop"); !errors.Is(err, server.ErrUnknownClient) {
		t.Errorf("after it was removed: %v", err)
	}
	if err := r.Remove(t.Context(), "shop"); !errors.Is(err, clients.ErrNotFound) {
		t.Errorf("removed once more: %v", err)
	}
}

func TestClientsThatCannotBe(t *testing.T) {
	r := clients.New(open(t))
	for name, c := range map[string]clients.Client{
		"no ID":                   {},
		"a space":                 {ID: "a b"},
		"too long":                {ID: strings.Repeat("a", 65)},
		"a path":                  {ID: "../x"},
		"the server's own":        {ID: "tandem"},
		"public, and asks":        {ID: "a", Public: true, MayIntrospect: true},
		"an audience that is not": {ID: "a", Audiences: []string{"orders"}},
		"a fragment":              {ID: "a", Audiences: []string{"https://a.example#b"}},
	} {
		if _, err := r.Add(t.Context(), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Several operators change the registry at the same moment: no change is lost.
func TestChangesAtTheSameMoment(t *testing.T) {
	store := open(t)
	var all sync.WaitGroup
	const n = 5
	for i := range n {
		all.Go(func() {
			if _, err := clients.New(store).Add(t.Context(), clients.Client{ID: fmt.Sprint("client-", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if listed, err := clients.New(store).List(t.Context()); len(listed) != n || err != nil {
		t.Errorf("there are %d clients, %v", len(listed), err)
	}
}

// What a newer version has written is neither read nor replaced.
func TestADocumentOfANewerVersion(t *testing.T) {
	store := open(t)
	for version, text := range []string{`{"format":3,"people":[]}`, `{"format":`} {
		if saved, err := store.SaveClients(t.Context(), []byte(text), int64(version)); !saved || err != nil {
			t.Fatal(saved, err)
		}
		r := clients.New(store)
		if _, err := r.Client(t.Context(), "a"); err == nil || errors.Is(err, server.ErrUnknownClient) {
			t.Errorf("%s: %v", text, err)
		}
		if _, err := r.Add(t.Context(), clients.Client{ID: "a"}); err == nil {
			t.Errorf("%s is replaced", text)
		}
	}
}
