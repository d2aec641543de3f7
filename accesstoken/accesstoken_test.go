package accesstoken_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
)

const (
	issuer   = "https://auth.example.com"
	audience = "https://api.example.com"
)

var (
	now    = time.Date(2026, 3, 1, 12, 0, 0, 250e6, time.UTC)
	signer = accesstoken.Signer{Issuer: issuer, Audience: audience}
)

// alice's tokens expire two hours from now, and a quarter of a second.
func alice() accesstoken.Claims {
	return accesstoken.Claims{
		Subject:   "u-1",
		Username:  "alice",
		SessionID: rotation.SessionID{1, 2, 3},
		Scope:     "read write",
		ClientID:  "tandem",
		ExpiresAt: now.Add(2 * time.Hour),
	}
}

func generate(t testing.TB, alg accesstoken.Algorithm) accesstoken.SigningKey {
	t.Helper()
	key, err := accesstoken.GenerateSigningKey(alg)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key accesstoken.SigningKey, claims accesstoken.Claims) string {
	t.Helper()
	text, err := signer.Sign(key, claims, now)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func keySet(t testing.TB, keys ...accesstoken.SigningKey) *accesstoken.KeySet {
	t.Helper()
	var public []accesstoken.PublicKey
	for _, key := range keys {
		public = append(public, key.Public())
	}
	set, err := accesstoken.NewKeySet(public...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// A source is a KeySource. Reload replaces its key set by another one, or fails.
type source struct {
	set, reloaded *accesstoken.KeySet
	err           error
	reloads       int
}

func (s *source) KeySet() *accesstoken.KeySet { return s.set }

func (s *source) Reload(context.Context) error {
	s.reloads++
	if s.reloaded != nil {
		s.set = s.reloaded
	}
	return s.err
}

func verifier(t testing.TB, keys accesstoken.KeySource, at time.Time) *accesstoken.Verifier {
	t.Helper()
	v, err := accesstoken.NewVerifier(accesstoken.VerifierConfig{
		Issuer: issuer, Audience: audience, Keys: keys, Now: func() time.Time { return at },
	})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

var algorithms = []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA, accesstoken.RS256}

func TestAVerifierReadsWhatASignerWrote(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := generate(t, alg)
			got, err := verifier(t, &source{set: keySet(t, key)}, now).Verify(t.Context(), sign(t, key, alice()))
			want := alice()
			want.ExpiresAt = now.Add(2 * time.Hour).Truncate(time.Second).Add(time.Second) // rounded up
			if err != nil || !got.ExpiresAt.Equal(want.ExpiresAt) {
				t.Fatalf("got %+v, %v", got, err)
			}
			if !got.IssuedAt.Equal(now.Truncate(time.Second)) {
				t.Errorf("issued at %v, want %v", got.IssuedAt, now)
			}
			got.ExpiresAt, got.IssuedAt = want.ExpiresAt, time.Time{}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

// A stranger reads the published key set with nothing but the RFCs, and goes
// through the token by RFC 9068 section 2.
func TestAStrangerCanCheckATokenWithThePublishedKeys(t *testing.T) {
	for _, alg := range algorithms {
		t.Run(string(alg), func(t *testing.T) {
			key := generate(t, alg)
			published := readKeySet(t, keySet(t, key).JSON())
			token, err := jwt.Parse(sign(t, key, alice()), func(token *jwt.Token) (any, error) {
				return published[token.Header["kid"].(string)], nil
			}, jwt.WithTimeFunc(func() time.Time { return now }), jwt.WithValidMethods([]string{string(alg)}))
			if err != nil {
				t.Fatal(err)
			}
			if token.Header["typ"] != "at+jwt" {
				t.Errorf("header %v", token.Header)
			}
			claims := token.Claims.(jwt.MapClaims)
			for name, want := range map[string]any{
				"iss": issuer, "sub": "u-1", "sid": alice().SessionID.String(), "client_id": "tandem",
				"scope": "read write", "preferred_username": "alice",
				"iat": float64(now.Unix()), "exp": float64(now.Add(2*time.Hour).Unix() + 1),
			} {
				if claims[name] != want {
					t.Errorf("%s: %v, want %v", name, claims[name], want)
				}
			}
			if aud, err := claims.GetAudience(); err != nil || len(aud) != 1 || aud[0] != audience {
				t.Errorf("aud: %v, %v", aud, err)
			}
			if id, _ := claims["jti"].(string); len(id) != 22 {
				t.Errorf("jti: %q, want 128 bits", id)
			}
		})
	}
}

func readKeySet(t *testing.T, text string) map[string]any {
	t.Helper()
	var set struct {
		Keys []map[string]string `json:"keys"`
	}
	if err := json.Unmarshal([]byte(text), &set); err != nil {
		t.Fatal(err)
	}
	keys := make(map[string]any)
	for _, key := range set.Keys {
		if key["use"] != "sig" {
			t.Errorf("key %v", key)
		}
		keys[key["kid"]] = readKey(t, key)
	}
	return keys
}

func readKey(t *testing.T, key map[string]string) any {
	t.Helper()
	member := func(name string) []byte {
		b, err := base64.RawURLEncoding.DecodeString(key[name])
		if err != nil || len(b) == 0 {
			t.Fatalf("member %s of %v: %v", name, key, err)
		}
		return b
	}
	switch key["alg"] {
	case "ES256":
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, member("x")...), member("y")...))
		if err != nil {
			t.Fatal(err)
		}
		return public
	case "EdDSA":
		return ed25519.PublicKey(member("x"))
	case "RS256":
		return &rsa.PublicKey{N: new(big.Int).SetBytes(member("n")), E: int(new(big.Int).SetBytes(member("e")).Int64())}
	}
	t.Fatalf("key %v", key)
	return nil
}

func TestAKeySetRefusesWhatIsNoSet(t *testing.T) {
	key := generate(t, accesstoken.EdDSA).Public()
	for _, c := range []struct {
		name, want string
		keys       []accesstoken.PublicKey
	}{
		{"an empty key", "key 1 is empty", []accesstoken.PublicKey{key, {}}},
		{"one key twice", "key 1 is there twice", []accesstoken.PublicKey{key, key}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := accesstoken.NewKeySet(c.keys...); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something about %s", err, c.want)
			}
		})
	}
}

func TestOptionalClaimsAreLeftOutWhenEmpty(t *testing.T) {
	claims := alice()
	claims.Scope, claims.Username = "", ""
	written := jwt.MapClaims{}
	if _, _, err := jwt.NewParser().ParseUnverified(sign(t, generate(t, accesstoken.ES256), claims), written); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"scope", "preferred_username"} {
		if value, there := written[name]; there {
			t.Errorf("%s: %q", name, value)
		}
	}
}

func TestTheZeroKeySignsNothing(t *testing.T) {
	if text, err := signer.Sign(accesstoken.SigningKey{}, alice(), now); err == nil {
		t.Errorf("got %q", text)
	}
}

// The verifier accepts a token until the second of its expiry begins.
func TestExpiry(t *testing.T) {
	key := generate(t, accesstoken.ES256)
	text := sign(t, key, alice())
	for at, good := range map[time.Time]bool{
		now:                          true,
		alice().ExpiresAt:            true, // the claim was rounded up
		now.Add(2*time.Hour + 1e9/2): true,
		now.Add(2*time.Hour + 1e9):   false,
	} {
		if _, err := verifier(t, &source{set: keySet(t, key)}, at).Verify(t.Context(), text); (err == nil) != good {
			t.Errorf("at %s: %v, want good %t", at.Format(time.StampMilli), err, good)
		}
	}
}

// A verifier that gets a token with an unknown key reloads the key set, once.
func TestAVerifierLooksForAKeyThatItDoesNotKnow(t *testing.T) {
	known, unknown := generate(t, accesstoken.ES256), generate(t, accesstoken.EdDSA)
	old := keySet(t, known)
	away := errors.New("the store is away")
	for _, c := range []struct {
		name  string
		keys  source
		wants []error // none for a token that is good
	}{
		{"published meanwhile", source{set: old, reloaded: keySet(t, unknown, known)}, nil},
		{"nowhere to be found", source{set: old}, []error{accesstoken.ErrUnknownKey}},
		{"no way to look", source{set: old, err: away}, []error{accesstoken.ErrUnknownKey, away}},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := verifier(t, &c.keys, now)
			if _, err := v.Verify(t.Context(), sign(t, known, alice())); err != nil || c.keys.reloads != 0 {
				t.Errorf("a known key: %v after %d reloads", err, c.keys.reloads)
			}
			_, err := v.Verify(t.Context(), sign(t, unknown, alice()))
			if (err == nil) != (len(c.wants) == 0) {
				t.Errorf("got %v", err)
			}
			for _, want := range c.wants {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want it to wrap %v", err, want)
				}
			}
			if c.keys.reloads != 1 {
				t.Errorf("%d reloads", c.keys.reloads)
			}
		})
	}
}

func TestNewVerifierNamesTheMissingField(t *testing.T) {
	good := accesstoken.VerifierConfig{Issuer: issuer, Audience: audience, Keys: &source{}}
	for field, remove := range map[string]func(*accesstoken.VerifierConfig){
		"Issuer":   func(c *accesstoken.VerifierConfig) { c.Issuer = "" },
		"Audience": func(c *accesstoken.VerifierConfig) { c.Audience = "" },
		"Keys":     func(c *accesstoken.VerifierConfig) { c.Keys = nil },
	} {
		config := good
		remove(&config)
		if _, err := accesstoken.NewVerifier(config); err == nil || !strings.Contains(err.Error(), "."+field+":") {
			t.Errorf("without %s: %v", field, err)
		}
	}
	if _, err := accesstoken.NewVerifier(good); err != nil {
		t.Error(err)
	}
}

// withS returns the token with the other value of s that its ES256 signature can have, if
// change is true for the current one. It does not change signatures of other algorithms.
func withS(t *testing.T, token string, change func(s, half *big.Int) bool) string {
	t.Helper()
	head, encoded := token[:strings.LastIndex(token, ".")], token[strings.LastIndex(token, ".")+1:]
	signature, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if len(signature) != 64 {
		return token
	}
	order := elliptic.P256().Params().N
	s := new(big.Int).SetBytes(signature[32:])
	if change(s, new(big.Int).Rsh(order, 1)) {
		s.Sub(order, s).FillBytes(signature[32:])
	}
	return head + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// The test changes a valid token, and signs the result with the right key where that makes
// the forgery harder to detect.
func TestForgedTokens(t *testing.T) {
	key := generate(t, accesstoken.ES256)
	v := verifier(t, &source{set: keySet(t, key)}, now)
	good := sign(t, key, alice())
	text, err := key.MarshalPEM()
	if err != nil {
		t.Fatal(err)
	}
	private, err := jwt.ParseECPrivateKeyFromPEM(text)
	if err != nil {
		t.Fatal(err)
	}
	forge := func(method jwt.SigningMethod, secret any, change func(header map[string]any, claims jwt.MapClaims)) string {
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser().ParseUnverified(good, claims)
		if err != nil {
			t.Fatal(err)
		}
		change(token.Header, claims)
		again := jwt.NewWithClaims(method, claims)
		again.Header = token.Header
		signed, err := again.SignedString(secret)
		if err != nil {
			t.Fatal(err)
		}
		return withS(t, signed, func(s, half *big.Int) bool { return s.Cmp(half) > 0 })
	}
	claim := func(name string, value any) string {
		return forge(jwt.SigningMethodES256, private, func(_ map[string]any, claims jwt.MapClaims) { claims[name] = value })
	}
	header := func(name string, value any) string {
		return forge(jwt.SigningMethodES256, private, func(header map[string]any, _ jwt.MapClaims) { header[name] = value })
	}
	without := func(name string) string {
		return forge(jwt.SigningMethodES256, private, func(_ map[string]any, claims jwt.MapClaims) { delete(claims, name) })
	}
	payload := func(change func(payload string) string) string {
		signed := claim("sub", "u-1")
		parts := strings.Split(signed, ".")
		text, err := base64.RawURLEncoding.DecodeString(parts[1])
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(change(string(text)))
		head := parts[0] + "." + base64.RawURLEncoding.EncodeToString(text)
		signature, err := jwt.SigningMethodES256.Sign(head, private)
		if err != nil {
			t.Fatal(err)
		}
		signed = head + "." + base64.RawURLEncoding.EncodeToString(signature)
		return withS(t, signed, func(s, half *big.Int) bool { return s.Cmp(half) > 0 })
	}
	replaced := func(before, after string) string {
		return payload(func(payload string) string {
			if !strings.Contains(payload, before) {
				t.Fatalf("%s is not in %s", before, payload)
			}
			return strings.Replace(payload, before, after, 1)
		})
	}
	parts := strings.Split(good, ".")
	none := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":"none","typ":"at+jwt","kid":%q}`, key.ID()))
	public, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	hmac := forge(jwt.SigningMethodHS256, public, func(header map[string]any, _ jwt.MapClaims) { header["alg"] = "HS256" })

	for _, c := range []struct {
		name, token string
		good        bool
	}{
		{"unchanged", header("typ", "at+jwt"), true},
		{"the long type in another case", header("typ", "Application/AT+JWT"), true},
		{"one audience of several", claim("aud", []string{"https://other.example.com", audience}), true},
		{"an ID token", header("typ", "JWT"), false},
		{"no type", header("typ", nil), false},
		{"an unknown key", header("kid", "other"), false},
		{"no key", header("kid", nil), false},
		{"another algorithm", header("alg", "EdDSA"), false},
		{"no algorithm", none + "." + parts[1] + ".", false},
		{"an HMAC with the public key", hmac, false},
		{"another issuer", claim("iss", "https://evil.example.com"), false},
		{"no issuer", without("iss"), false},
		{"another audience", claim("aud", "https://other.example.com"), false},
		{"no audience", without("aud"), false},
		{"no expiry", without("exp"), false},
		{"expired", claim("exp", now.Unix()), false},
		{"no subject", without("sub"), false},
		{"no session", without("sid"), false},
		{"a session that is none", claim("sid", "1"), false},
		{"a critical extension", header("crit", []string{"exp"}), false},
		{"a payload that is not encoded", forge(jwt.SigningMethodES256, private, func(header map[string]any, _ jwt.MapClaims) {
			header["crit"], header["b64"] = []string{"b64"}, false
		}), false},
		{"a claim of another's", replaced(`"sub"`, `"tenant":{"SUB":["sub"]},"sub"`), true},
		{"a claim in another case", replaced(`"sub"`, `"SUB"`), false},
		{"a claim in two cases", replaced(`"sub":"u-1"`, `"sub":"u-1","Sub":"u-2"`), false},
		{"a claim with a long s", replaced(`"sub"`, `"\u017fub"`), false},
		{"a claim with an escape", replaced(`"sub"`, `"\\u0073ub"`), false},
		{"a claim twice", replaced(`"sub":"u-1"`, `"sub":"u-1","sub":"u-2"`), false},
		{"a subject that is a number", claim("sub", 1), false},
		{"an expiry as text", claim("exp", fmt.Sprint(now.Unix()+60)), false},
		{"an expiry with a fraction", replaced(`"exp":`, `"exp":0.5e9,"iat":`), false},
		{"an expiry in a year of eleven digits", claim("exp", 1e18), false},
		{"an expiry beyond all numbers", replaced(`"exp":`, `"exp":1e999,"x":`), false},
		{"an expiry before 1970", claim("exp", -1), false},
		{"an expiry that is null", claim("exp", nil), false},
		{"an expiry that is true", claim("exp", true), false},
		{"a beginning as text", claim("nbf", "0"), false},
		{"a beginning to come", claim("nbf", now.Unix()+60), false},
		{"an issue as text", claim("iat", "0"), false},
		{"claims that are none", payload(func(string) string { return "null" }), false},
		{"claims in a list", payload(func(payload string) string { return "[" + payload + "]" }), false},
		{"the other signature that its key allows", withS(t, good, func(s, half *big.Int) bool { return s.Cmp(half) <= 0 }), false},
		{"no signature", parts[0] + "." + parts[1] + ".", false},
		{"another payload", parts[0] + "." + strings.Split(claim("sub", "u-2"), ".")[1] + "." + parts[2], false},
		{"not a JWT", "abc", false},
		{"nothing", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := v.Verify(t.Context(), c.token)
			if (err == nil) != c.good {
				t.Fatalf("got %+v, %v", got, err)
			}
			if err != nil && (got != (accesstoken.Claims{}) || c.token != "" && strings.Contains(err.Error(), c.token)) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}
