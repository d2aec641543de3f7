package accesstoken_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/accesstoken"
)

// What a server publishes checks what it signs, with keys of each algorithm.
func TestAPublishedKeySetChecksTokens(t *testing.T) {
	var keys []accesstoken.SigningKey
	for _, alg := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA, accesstoken.RS256} {
		keys = append(keys, generate(t, alg))
	}
	published := keySet(t, keys...).JSON()
	parsed, err := accesstoken.ParseKeySet([]byte(published))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.JSON() != published {
		t.Errorf("read and written again, the set is %s, want %s", parsed.JSON(), published)
	}
	v := verifier(t, &source{set: parsed}, now)
	for _, key := range keys {
		if _, err := v.Verify(t.Context(), sign(t, key, alice())); err != nil {
			t.Errorf("%v: %v", key, err)
		}
	}
}

// A set may have keys for other purposes, and a hostile one has worse.
func TestWhatIsLeftOutOfAKeySet(t *testing.T) {
	good := strings.TrimSuffix(strings.TrimPrefix(keySet(t, generate(t, accesstoken.EdDSA)).JSON(), `{"keys":[`), `]}`)
	point := strings.TrimSuffix(strings.TrimPrefix(keySet(t, generate(t, accesstoken.ES256)).JSON(), `{"keys":[`), `]}`)
	for name, key := range map[string]string{
		"symmetric":               `{"kty":"oct","k":"AAAA","kid":"a","alg":"HS256"}`,
		"for encryption":          strings.Replace(point, `"use":"sig"`, `"use":"enc"`, 1),
		"another algorithm":       strings.Replace(point, `"alg":"ES256"`, `"alg":"ES384"`, 1),
		"none":                    strings.Replace(point, `"alg":"ES256"`, `"alg":"none"`, 1),
		"without an ID":           strings.Replace(point, `"kid"`, `"kid2"`, 1),
		"a point off the curve":   `{"kty":"EC","crv":"P-256","x":"` + strings.Repeat("A", 43) + `","y":"` + strings.Repeat("A", 43) + `","kid":"a"}`,
		"another curve":           strings.Replace(point, "P-256", "P-384", 1),
		"a short key":             `{"kty":"OKP","crv":"Ed25519","x":"AAAA","kid":"a"}`,
		"RSA with 1024 bits":      `{"kty":"RSA","n":"` + strings.Repeat("_", 171) + `","e":"AQAB","kid":"a"}`,
		"RSA with 16,000 bits":    `{"kty":"RSA","n":"` + strings.Repeat("_", 2667) + `","e":"AQAB","kid":"a"}`,
		"RSA with the exponent 1": `{"kty":"RSA","n":"` + strings.Repeat("_", 342) + `","e":"AQ","kid":"a"}`,
		"no object":               `"x"`,
	} {
		t.Run(name, func(t *testing.T) {
			set, err := accesstoken.ParseKeySet([]byte(`{"keys":[` + key + "," + good + `]}`))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Count(set.JSON(), `"kid"`) != 1 {
				t.Errorf("the set is %s", set.JSON())
			}
			if _, err := accesstoken.ParseKeySet([]byte(`{"keys":[` + key + `]}`)); err == nil {
				t.Error("a set without a key is read")
			}
		})
	}
	for name, text := range map[string]string{
		"the same twice": `{"keys":[` + good + "," + good + `]}`,
		"too many":       `{"keys":[` + strings.Repeat(`{},`, 100) + good + `]}`,
		"no set":         `<!doctype html>`,
		"empty":          `{}`,
	} {
		if _, err := accesstoken.ParseKeySet([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// Whatever a set is, reading it ends with an error or with what can be written again.
func FuzzParseKeySet(f *testing.F) {
	for _, alg := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA} {
		f.Add([]byte(keySet(f, generate(f, alg)).JSON()))
	}
	f.Add([]byte(fmt.Sprintf(`{"keys":[{"kty":"RSA","n":%q,"e":"AQAB","kid":"a","use":"sig","alg":"RS256"}]}`, strings.Repeat("_", 342))))
	f.Fuzz(func(t *testing.T, text []byte) {
		set, err := accesstoken.ParseKeySet(text)
		if err != nil {
			return
		}
		again, err := accesstoken.ParseKeySet([]byte(set.JSON()))
		if err != nil || again.JSON() != set.JSON() {
			t.Errorf("%s becomes %v, %v", set.JSON(), again, err)
		}
	})
}
