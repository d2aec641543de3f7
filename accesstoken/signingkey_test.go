package accesstoken_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/tandem-auth/tandem/accesstoken"
)

func TestSigningKeyRoundTrip(t *testing.T) {
	for _, alg := range []accesstoken.Algorithm{accesstoken.ES256, accesstoken.EdDSA, accesstoken.RS256} {
		t.Run(string(alg), func(t *testing.T) {
			key, err := accesstoken.GenerateSigningKey(alg)
			if err != nil {
				t.Fatal(err)
			}
			text, err := key.MarshalPEM()
			if err != nil {
				t.Fatal(err)
			}
			again, err := accesstoken.ParseSigningKey(text)
			if err != nil {
				t.Fatal(err)
			}
			if again.ID() != key.ID() || again.Algorithm() != alg {
				t.Errorf("got %v, want %v", again, key)
			}
		})
	}
}

func TestGenerateSigningKeyDefaultsToES256(t *testing.T) {
	key, err := accesstoken.GenerateSigningKey("")
	if err != nil || key.Algorithm() != accesstoken.ES256 {
		t.Errorf("got %v, %v", key, err)
	}
	if _, err := accesstoken.GenerateSigningKey("HS256"); err == nil {
		t.Error("HS256: no error")
	}
}

// The key is that of RFC 8037 appendix A.1, its thumbprint appendix A.3.
func TestKeyIDIsTheThumbprint(t *testing.T) {
	const text = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
-----END PRIVATE KEY-----
`
	key, err := accesstoken.ParseSigningKey([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if want := "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; key.ID() != want {
		t.Errorf("got %s, want %s", key.ID(), want)
	}
}

func TestParseSigningKeyRefuses(t *testing.T) {
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"no PEM", "hello", "not PEM"},
		{"another type", pemOf("EC PRIVATE KEY", nil), "openssl pkcs8"},
		{"garbage", pemOf("PRIVATE KEY", []byte("garbage")), "not PKCS #8"},
		{"another curve", pkcs8(t, p384), "P-256"},
		{"a short RSA key", pkcs8(t, short), "2048"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, err := accesstoken.ParseSigningKey([]byte(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want something about %s", err, c.want)
			}
		})
	}
}

func pkcs8(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pemOf("PRIVATE KEY", der)
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestSigningKeysPrintWithoutTheirSecret(t *testing.T) {
	key, err := accesstoken.GenerateSigningKey(accesstoken.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		want := fmt.Sprintf("accesstoken.SigningKey{ID: %s, Algorithm: EdDSA}", key.ID())
		if got := fmt.Sprintf(verb, key); got != want {
			t.Errorf("%s: got %s", verb, got)
		}
	}
	if _, err := (accesstoken.SigningKey{}).MarshalPEM(); err == nil {
		t.Error("the zero key marshals")
	}
}
