package server_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/server"
)

// TestAccessTokenVerifiesAgainstTheKeySet reads the key set as a stranger would.
func TestAccessTokenVerifiesAgainstTheKeySet(t *testing.T) {
	for _, alg := range []server.Algorithm{server.ES256, server.EdDSA, server.RS256} {
		t.Run(string(alg), func(t *testing.T) {
			key, err := server.GenerateSigningKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			h := newHarness(t, func(c *server.Config) { c.SigningKey = key })
			a := h.signedIn()
			h.call("GET", "/auth/me", a.AccessToken).want(t, 200, "", "")

			keys := h.keySet()
			token, err := jwt.Parse(a.AccessToken, func(token *jwt.Token) (any, error) {
				return keys[token.Header["kid"].(string)], nil
			}, jwt.WithTimeFunc(h.now), jwt.WithValidMethods([]string{string(alg)}))
			if err != nil {
				t.Fatal(err)
			}
			checkAccessToken(t, h, token, a.SessionID)
		})
	}
}

// checkAccessToken goes through RFC 9068 section 2.
func checkAccessToken(t *testing.T, h *harness, token *jwt.Token, session string) {
	t.Helper()
	if token.Header["typ"] != "at+jwt" {
		t.Errorf("header %v", token.Header)
	}
	claims := token.Claims.(jwt.MapClaims)
	for name, want := range map[string]any{
		"iss": issuer, "sub": "u-1", "sid": session, "client_id": "tandem",
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
	if id, _ := claims["jti"].(string); len(id) != 22 {
		t.Errorf("jti: %q, want 128 bits", id)
	}
}

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
		if key["use"] != "sig" {
			h.t.Errorf("key %v", key)
		}
		keys[key["kid"]] = h.publicKey(key)
	}
	return keys
}

func (h *harness) publicKey(key map[string]string) any {
	h.t.Helper()
	member := func(name string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(key[name])
		if err != nil || len(b) == 0 {
			h.t.Fatalf("member %s of %v: %v", name, key, err)
		}
		return b
	}
	switch key["alg"] {
	case "ES256":
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, member("x")...), member("y")...))
		if err != nil {
			h.t.Fatal(err)
		}
		return public
	case "EdDSA":
		return ed25519.PublicKey(member("x"))
	case "RS256":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(member("n")), E: int(new(big.Int).SetBytes(member("e")).Int64())}
	}
	h.t.Fatalf("key %v", key)
	return nil
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

// TestForgedAccessTokens takes a good token apart and puts it together wrongly.
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
	forge := func(change func(header map[string]any, claims jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser().ParseUnverified(good, claims)
		if err != nil {
			t.Fatal(err)
		}
		change(token.Header, claims)
		again := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		again.Header = token.Header
		signed, err := again.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	claim := func(name string, value any) string {
		return forge(func(_ map[string]any, claims jwt.MapClaims) { claims[name] = value })
	}
	header := func(name string, value any) string {
		return forge(func(header map[string]any, _ jwt.MapClaims) { header[name] = value })
	}
	without := func(name string) string {
		return forge(func(_ map[string]any, claims jwt.MapClaims) { delete(claims, name) })
	}
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"none","typ":"at+jwt","kid":%q}`, h.cfg.SigningKey.ID()))

	for _, c := range []struct {
		name, token string
		status      int
	}{
		{"unchanged", header("typ", "at+jwt"), 200},
		{"the long type in another case", header("typ", "Application/AT+JWT"), 200},
		{"an ID token", header("typ", "JWT"), 401},
		{"no type", header("typ", nil), 401},
		{"an unknown key", header("kid", "other"), 401},
		{"another algorithm", header("alg", "EdDSA"), 401},
		{"no algorithm", none + "." + parts[1] + ".", 401},
		{"another issuer", claim("iss", "https://evil.example.com"), 401},
		{"another audience", claim("aud", "https://api.example.com"), 401},
		{"no audience", without("aud"), 401},
		{"no expiry", without("exp"), 401},
		{"expired", claim("exp", h.now().Unix()), 401},
		{"no subject", without("sub"), 401},
		{"another subject", claim("sub", "u-2"), 401},
		{"no session", without("sid"), 401},
		{"no such session", claim("sid", strings.Repeat("0", 32)), 401},
		{"no signature", parts[0] + "." + parts[1] + ".", 401},
		{"another payload", parts[0] + "." + strings.Split(claim("sub", "u-2"), ".")[1] + "." + parts[2], 401},
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
