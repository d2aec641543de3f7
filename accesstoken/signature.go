package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"errors"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/cryptobyte/asn1"
)

// coordinateLen is the length of each half of an ES256 signature.
const coordinateLen = 32

// sign returns the signature of a token (RFC 7515 section 5.1). An ES256 signature is
// deterministic (RFC 6979), as RFC 8725 section 3.2 advises, so a weak random number
// generator cannot reveal the key. Each ES256 signature is valid with two values of s;
// sign takes the lower and isLowS refuses the higher, so that nobody can turn a token
// into a second valid token with the same claims.
func (k SigningKey) sign(text []byte) ([]byte, error) {
	private, ok := k.private.(*ecdsa.PrivateKey)
	if !ok {
		return k.public.method.Sign(string(text), k.private)
	}
	digest := sha256.Sum256(text)
	der, err := private.Sign(nil, digest[:], crypto.SHA256)
	if err != nil {
		return nil, err
	}
	return fixedLength(der)
}

// fixedLength converts an ECDSA signature from ASN.1 to the two numbers of fixed length
// that a JWT has (RFC 7518 section 3.4), with the lower of the two values of s.
func fixedLength(der []byte) ([]byte, error) {
	var inner cryptobyte.String
	var r, s big.Int
	outer := cryptobyte.String(der)
	if !outer.ReadASN1(&inner, asn1.SEQUENCE) || !inner.ReadASN1Integer(&r) || !inner.ReadASN1Integer(&s) {
		return nil, errors.New("the signature is not in ASN.1")
	}
	if order := elliptic.P256().Params().N; s.Cmp(new(big.Int).Rsh(order, 1)) > 0 {
		s.Sub(order, &s)
	}
	signature := make([]byte, 2*coordinateLen)
	r.FillBytes(signature[:coordinateLen])
	s.FillBytes(signature[coordinateLen:])
	return signature, nil
}

// halfOrder is half the order of P-256, rounded down, in big-endian bytes.
const halfOrder = "\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff" +
	"\xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8"

// isLowS reports whether an ES256 signature has the lower of its two values of s.
func isLowS(signature []byte) bool {
	return len(signature) == 2*coordinateLen && string(signature[coordinateLen:]) <= halfOrder
}
