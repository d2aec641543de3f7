package accesstoken_test

import (
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/accesstoken"
)

// A verifier returns an error for every text that is not a token signed by its key.
func FuzzVerify(f *testing.F) {
	key := generate(f, accesstoken.EdDSA)
	good := sign(f, key, alice())
	v := verifier(f, &source{set: keySet(f, key)}, now)
	parts := strings.Split(good, ".")
	for _, s := range []string{
		good, "", ".", "..", "...", "a.b.c", good + ".", good + "=", parts[0] + "..", parts[0] + "." + parts[1] + ".",
		"eyJhbGciOiJub25lIn0.e30.", "bnVsbA.bnVsbA.",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if claims, err := v.Verify(t.Context(), text); err == nil && text != good {
			t.Errorf("%q passed as %+v", text, claims)
		}
	})
}

// Every key that ParseSigningKey accepts can sign and survives a round trip.
func FuzzParseSigningKey(f *testing.F) {
	for _, alg := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA} {
		text, err := generate(f, alg).MarshalPEM()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		key, err := accesstoken.ParseSigningKey(data)
		if err != nil {
			return
		}
		text, err := key.MarshalPEM()
		if err != nil {
			t.Fatal(err)
		}
		again, err := accesstoken.ParseSigningKey(text)
		if err != nil || again.ID() != key.ID() {
			t.Errorf("got %v, %v; want %v", again, err, key)
		}
	})
}
