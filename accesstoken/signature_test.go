package accesstoken

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/hex"
	"fmt"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// The example of RFC 6979 appendix A.2.5, whose s is the higher one:
// f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8.
func TestES256SignaturesAreDeterministic(t *testing.T) {
	secret, err := hex.DecodeString("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
	if err != nil {
		t.Fatal(err)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), secret)
	if err != nil {
		t.Fatal(err)
	}
	key, err := newSigningKey(private)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := key.sign([]byte("sample"))
	if err != nil {
		t.Fatal(err)
	}
	const want = "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716" +
		"0834e36ad29a83bf2bc9385e491d6099c8fdf9d1ed67aa7ea5f51f93782857a9"
	if got := hex.EncodeToString(signature); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// sign pads short numbers with zeros. Among so many signatures, some have short numbers.
func TestEveryES256SignatureHolds(t *testing.T) {
	key, err := GenerateSigningKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	short := 0
	for i := range 2000 {
		text := fmt.Sprint(i)
		signature, err := key.sign([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if err := jwt.SigningMethodES256.Verify(text, signature, key.public.key); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if !isLowS(signature) {
			t.Errorf("%s: not the lower s", text)
		}
		if signature[0] == 0 || signature[coordinateLen] == 0 {
			short++
		}
	}
	if short == 0 {
		t.Error("no signature had a short number in it")
	}
}
