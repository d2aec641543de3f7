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

// sign returns the signature of a token (RFC 7515 section 5.1). One with ES256 is
// deterministic (RFC 6979), as RFC 8725 section 3.2 advises: there is no random number
// in it that could give the key away if it were a bad one. Of the two values of s that
// every signature could have it is the lower, so that nobody can make another token of
// one that says the same.
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

// fixedLength writes the two numbers of an ECDSA signature one after the other
// (RFC 7518 section 3.4).
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

// halfOrder is half the order of P-256, rounded down.
const halfOrder = "\x7f\xff\xff\xff\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff" +
	"\xde\x73\x7d\x56\xd3\x8b\xcf\x42\x79\xdc\xe5\x61\x7e\x31\x92\xa8"

// isLowS reports whether an ES256 signature is the one that sign makes, and not the other
// that the key would confirm.
func isLowS(signature []byte) bool {
	return len(signature) == 2*coordinateLen && string(signature[coordinateLen:]) <= halfOrder
}
