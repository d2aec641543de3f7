package resource_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/rotation"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// An issuer publishes keys, and signs tokens with the first of them.
type issuer struct {
	testing.TB
	url     string
	keys    []accesstoken.SigningKey
	set     atomic.Pointer[string]
	fetches atomic.Int64
	answer  atomic.Pointer[http.HandlerFunc] // in place of the key set
	isDown  atomic.Bool                      // for a client of client
}

func newIssuer(t testing.TB, alg accesstoken.Algorithm) *issuer {
	t.Helper()
	i := &issuer{TB: t}
	i.publish(newKey(t, alg))
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	return i
}

func newKey(t testing.TB, alg accesstoken.Algorithm) accesstoken.SigningKey {
	t.Helper()
	key, err := accesstoken.GenerateSigningKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// publish makes these the keys, and the first one that which signs.
func (i *issuer) publish(keys ...accesstoken.SigningKey) {
	i.Helper()
	var public []accesstoken.PublicKey
	for _, key := range keys {
		public = append(public, key.Public())
	}
	set, err := accesstoken.NewKeySet(public...)
	if err != nil {
		i.Fatal(err)
	}
	text := set.JSON()
	i.keys = keys
	i.set.Store(&text)
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/.well-known/jwks.json" {
		http.NotFound(w, r)
		return
	}
	i.fetches.Add(1)
	if answer := i.answer.Load(); answer != nil {
		(*answer)(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write([]byte(*i.set.Load()))
}

// fail has the issuer answer with do, until do is nil.
func (i *issuer) fail(do http.HandlerFunc) {
	if do == nil {
		i.answer.Store(nil)
		return
	}
	i.answer.Store(&do)
}

var ann = accesstoken.Claims{
	Subject: "user-ann", Username: "ann", SessionID: rotation.SessionID{1}, Scope: "orders:read orders:write", ClientID: "tandem",
}

// sign returns a token for ann that is good for an hour.
func (i *issuer) sign(changes ...func(*accesstoken.Claims)) string {
	i.Helper()
	return i.signAs(accesstoken.Signer{Issuer: i.url, Audience: i.url}, changes...)
}

func (i *issuer) signAs(signer accesstoken.Signer, changes ...func(*accesstoken.Claims)) string {
	i.Helper()
	claims := ann
	claims.ExpiresAt = time.Now().Add(time.Hour)
	for _, change := range changes {
		change(&claims)
	}
	token, err := signer.Sign(i.keys[0], claims, time.Now())
	if err != nil {
		i.Fatal(err)
	}
	return token
}

func (i *issuer) guard(changes ...func(*resource.Config)) *resource.Guard {
	i.Helper()
	config := resource.Config{Issuer: i.url}
	for _, change := range changes {
		change(&config)
	}
	g, err := resource.New(config)
	if err != nil {
		i.Fatal(err)
	}
	i.Cleanup(func() {
		for range 2 { // may be closed twice
			if err := g.Close(); err != nil {
				i.Error(err)
			}
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return g
}
