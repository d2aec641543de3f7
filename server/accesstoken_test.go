package server_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/server"
)

// A token carries what the session says, and is signed with the published key.
func TestAnAccessTokenSaysWhoseSessionItIs(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.call("GET", "/auth/me", a.AccessToken).want(t, 200, "", "")

	keys := h.keySet()
	token, err := jwt.Parse(a.AccessToken, func(token *jwt.Token) (any, error) {
		return keys[token.Header["kid"].(string)], nil
	}, jwt.WithTimeFunc(h.now))
	if err != nil {
		t.Fatal(err)
	}
	claims := token.Claims.(jwt.MapClaims)
	for name, want := range map[string]any{
		"iss": issuer, "sub": "u-1", "sid": a.SessionID, "client_id": "tandem",
		"scope": "read write", "preferred_username": "alice",
		"iat": float64(h.now().Unix()), "exp": float64(h.now().Add(2*time.Hour).Unix() + 1),
	} {
		if claims[name] != want {
			t.Errorf("%s: %v, want %v", name, claims[name], want)
		}
	}
	if aud, err := claims.GetAudience(); err != nil || len(aud) != 1 || aud[0] != issuer {
		t.Errorf("aud: %v, %v", aud, err)
	}
}

// keySet returns the published keys. Those of a harness are for ES256, unless the
// test says otherwise; keys of other algorithms are nil.
func (h *harness) keySet() map[string]any {
	h.t.Helper()
	a := h.send(request{method: "GET", path: "/.well-known/jwks.json"})
	a.want(h.t, 200, "", "")
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(a.text), &set); err != nil {
		h.t.Fatal(err)
	}
	keys := make(map[string]any)
	for _, key := range set.Keys {
		keys[key["kid"]] = es256Key(h.t, key)
	}
	return keys
}

func es256Key(t testing.TB, key map[string]string) any {
	t.Helper()
	if key["alg"] != "ES256" {
		return nil
	}
	point := []byte{4}
	for _, name := range []string{"x", "y"} {
		coordinate, err := base64.RawURLEncoding.DecodeString(key[name])
		if err != nil {
			t.Fatalf("member %s of %v: %v", name, key, err)
		}
		point = append(point, coordinate...)
	}
	public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

func TestAccessTokenWithoutAScopeHasNoClaim(t *testing.T) {
	h := newHarness(t)
	a := h.signIn("bob", "builder")
	claims := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(a.AccessToken, claims); err != nil {
		t.Fatal(err)
	}
	if scope, there := claims["scope"]; there {
		t.Errorf("scope %q", scope)
	}
}

func TestAnAccessTokenLivesForAsLongAsExpiresInSays(t *testing.T) {
	h := newHarness(t)
	a := h.signedIn()
	h.advance(time.Duration(a.ExpiresIn) * time.Second)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 200, "", "")
	h.advance(time.Second)
	h.call("GET", "/auth/me", a.AccessToken).want(t, 401, "invalid_token", "")
}

func TestSigningKeysRotate(t *testing.T) {
	h := newHarness(t)
	old := h.signedIn()
	retired := h.cfg.SigningKey
	var err error
	if h.cfg.SigningKey, err = server.GenerateSigningKey(server.EdDSA); err != nil {
		t.Fatal(err)
	}
	h.cfg.RetiredSigningKeys = []server.SigningKey{retired}
	h.server = h.start(h.cfg)
	if n := len(h.keySet()); n != 2 {
		t.Errorf("%d keys are published", n)
	}
	h.call("GET", "/auth/me", old.AccessToken).want(t, 200, "", "")
	h.call("GET", "/auth/me", h.refresh(old.RefreshToken).AccessToken).want(t, 200, "", "")

	h.cfg.RetiredSigningKeys = nil
	h.server = h.start(h.cfg)
	h.call("GET", "/auth/me", old.AccessToken).want(t, 401, "invalid_token", "")
}

// The tests of package accesstoken cover forged tokens. This one checks the server's
// answers to some of them, and to tokens that only the store shows to be invalid.
func TestForgedAccessTokens(t *testing.T) {
	h := newHarness(t)
	good := h.signedIn().AccessToken
	text, err := h.cfg.SigningKey.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwt.ParseECPrivateKeyFromPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) string {
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser().ParseUnverified(good, claims)
		if err != nil {
			t.Fatal(err)
		}
		claims[name] = value
		again := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		again.Header = token.Header
		for { // until the signature has the lower s, as the server makes it
			signed, err := again.SignedString(private)
			if err != nil {
				t.Fatal(err)
			}
			signature, err := base64.RawURLEncoding.DecodeString(signed[strings.LastIndex(signed, ".")+1:])
			if err != nil {
				t.Fatal(err)
			}
			if signature[32] < 0x7f {
				return signed
			}
		}
	}
	parts := strings.Split(good, ".")

	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"unchanged", claim("sub", "u-1"), 200},
		{"another issuer", claim("iss", "https://evil.example.com"), 401},
		{"another audience", claim("aud", "https://api.example.com"), 401},
		{"expired", claim("exp", h.now().Unix()), 401},
		{"an expiry beyond what JSON can say", claim("exp", 1e18), 401},
		{"another subject", claim("sub", "u-2"), 401},
		{"no such session", claim("sid", strings.Repeat("0", 32)), 401},
		{"no signature", parts[0] + "." + parts[1] + ".", 401},
		{"not a JWT", "abc", 401},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.call("GET", "/auth/me", c.token)
			if a.status != c.status {
				t.Fatalf("got %d %s", a.status, a.text)
			}
			if c.status == http.StatusUnauthorized && !strings.Contains(a.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
				t.Errorf("WWW-Authenticate %s", a.header.Get("WWW-Authenticate"))
			}
		})
	}
}
