package bench

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/MicahParks/keyfunc/v3"
	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxjwt "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/resource"
	"github.com/tandem-auth/tandem/rotation"
)

// An apiOf has a token of an issuer, and what checks it.
type apiOf struct {
	issuer, token, keySet string
	public                *ecdsa.PublicKey
}

func newAPI(b *testing.B) apiOf {
	b.Helper()
	key, err := accesstoken.GenerateSigningKey(accesstoken.ES256)
	if err != nil {
		b.Fatal(err)
	}
	set, err := accesstoken.NewKeySet(key.Public())
	if err != nil {
		b.Fatal(err)
	}
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(set.JSON())) }))
	b.Cleanup(issuer.Close)
	token, err := accesstoken.Signer{Issuer: issuer.URL, Audience: issuer.URL}.Sign(key, accesstoken.Claims{
		Subject: "user-1", Username: "ann", SessionID: rotation.SessionID{1}, Scope: "read write", ClientID: "tandem",
		ExpiresAt: time.Now().Add(time.Hour),
	}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	var published struct{ Keys []struct{ X, Y string } }
	if err := json.Unmarshal([]byte(set.JSON()), &published); err != nil {
		b.Fatal(err)
	}
	point := append([]byte{4}, append(unbase64(b, published.Keys[0].X), unbase64(b, published.Keys[0].Y)...)...)
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		b.Fatal(err)
	}
	return apiOf{issuer.URL, token, set.JSON(), public}
}

func unbase64(b *testing.B, text string) []byte {
	b.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		b.Fatal(err)
	}
	return decoded
}

// BenchmarkGuard measures what one check of an access token costs, ES256, with the keys at
// hand: the signature alone, four libraries, and the guard for a token that it has not
// seen, and for one that it has.
func BenchmarkGuard(b *testing.B) {
	api := newAPI(b)
	checks := func(check func() error) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := check(); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	guard := func(size int) *resource.Guard {
		g, err := resource.New(resource.Config{Issuer: api.issuer, CacheSize: size})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { _ = g.Close() })
		return g
	}
	without, with := guard(-1), guard(0)
	ctx := context.Background()

	b.Run("signature alone", checks(func() error { return api.signature() }))
	b.Run("golang-jwt", checks(func() error {
		_, err := jwt.Parse(api.token, func(*jwt.Token) (any, error) { return api.public, nil },
			jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(api.issuer), jwt.WithAudience(api.issuer))
		return err
	}))
	b.Run("jwx", func(b *testing.B) {
		set, err := jwk.Parse([]byte(api.keySet))
		if err != nil {
			b.Fatal(err)
		}
		checks(func() error {
			_, err := jwxjwt.Parse([]byte(api.token), jwxjwt.WithKeySet(set), jwxjwt.WithIssuer(api.issuer), jwxjwt.WithAudience(api.issuer))
			return err
		})(b)
	})
	b.Run("go-oidc", func(b *testing.B) {
		verifier := oidc.NewVerifier(api.issuer, &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{api.public}},
			&oidc.Config{ClientID: api.issuer, SupportedSigningAlgs: []string{jwa.ES256().String()}})
		checks(func() error {
			_, err := verifier.Verify(ctx, api.token)
			return err
		})(b)
	})
	b.Run("keyfunc", func(b *testing.B) {
		keys, err := keyfunc.NewJWKSetJSON(json.RawMessage(api.keySet))
		if err != nil {
			b.Fatal(err)
		}
		checks(func() error {
			_, err := jwt.Parse(api.token, keys.Keyfunc, jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(api.issuer), jwt.WithAudience(api.issuer))
			return err
		})(b)
	})
	verify := func(g *resource.Guard) func() error {
		return func() error {
			_, err := g.Verify(ctx, api.token)
			return err
		}
	}
	b.Run("guard, new token", checks(verify(without)))
	b.Run("guard, repeated token", checks(verify(with)))
	b.Run("guard, repeated token, 64 goroutines", func(b *testing.B) {
		b.SetParallelism(32)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := with.Verify(ctx, api.token); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// signature checks the token's signature, and nothing else.
func (a apiOf) signature() error {
	at := strings.LastIndexByte(a.token, '.')
	digest := sha256.Sum256([]byte(a.token[:at]))
	var signature [64]byte
	if _, err := base64.RawURLEncoding.Decode(signature[:], []byte(a.token[at+1:])); err != nil {
		return err
	}
	if !ecdsa.Verify(a.public, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return jwt.ErrSignatureInvalid
	}
	return nil
}
