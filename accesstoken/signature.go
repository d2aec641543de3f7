package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
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
// in it that could give the key away if it were a bad one.
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
	signature := make([]byte, 2*coordinateLen)
	r.FillBytes(signature[:coordinateLen])
	s.FillBytes(signature[coordinateLen:])
	return signature, nil
}
