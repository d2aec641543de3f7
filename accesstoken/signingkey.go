package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// An Algorithm signs access tokens (RFC 7518 section 3.1, RFC 8037).
type Algorithm string

// The algorithms that a [SigningKey] may have.
const (
	ES256 Algorithm = "ES256"
	EdDSA Algorithm = "EdDSA"
	RS256 Algorithm = "RS256"
)

const (
	minRSABits = 2048
	pemType    = "PRIVATE KEY"
)

// A SigningKey signs access tokens. Make one with [GenerateSigningKey] or
// [ParseSigningKey]. It prints as its ID and algorithm only.
type SigningKey struct {
	private crypto.Signer
	public  PublicKey
	header  string // the JWT header of the access tokens that the key signs
}

// GenerateSigningKey returns a new key; an empty alg stands for [ES256]. RSA
// keys get 2048 bits.
func GenerateSigningKey(alg Algorithm) (SigningKey, error) {
	var private crypto.Signer
	var err error
	switch alg {
	case ES256, "":
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case RS256:
		private, err = rsa.GenerateKey(rand.Reader, minRSABits)
	default:
		return SigningKey{}, fmt.Errorf("signing algorithm %q is none of ES256, EdDSA and RS256", alg)
	}
	if err != nil {
		return SigningKey{}, fmt.Errorf("generate a signing key: %w", err)
	}
	return newSigningKey(private)
}

// ParseSigningKey reads the PKCS #8 PEM of a private key: P-256 for [ES256],
// Ed25519 for [EdDSA], RSA of at least 2048 bits for [RS256]. It is the inverse
// of [SigningKey.MarshalPEM].
func ParseSigningKey(data []byte) (SigningKey, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return SigningKey{}, errors.New("signing key is not PEM")
	}
	if block.Type != pemType {
		return SigningKey{}, fmt.Errorf("signing key is PEM of type %q, want %q; convert it with: openssl pkcs8 -topk8 -nocrypt", block.Type, pemType)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return SigningKey{}, errors.New("signing key is not PKCS #8")
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return SigningKey{}, fmt.Errorf("signing key: a %T cannot sign", parsed)
	}
	return newSigningKey(private)
}

func newSigningKey(private crypto.Signer) (SigningKey, error) {
	public, err := newPublicKey(private.Public())
	if err != nil {
		return SigningKey{}, err
	}
	return SigningKey{private: private, public: public, header: public.header(tokenType)}, nil
}

// IsZero reports whether the key is the zero key, which cannot sign.
func (k SigningKey) IsZero() bool { return k.private == nil }

// Public returns the public key, which the server publishes in its key set.
func (k SigningKey) Public() PublicKey { return k.public }

// ID returns the key's "kid": its RFC 7638 thumbprint, SHA-256 in base64url.
func (k SigningKey) ID() string { return k.public.ID() }

// Algorithm returns the algorithm that the key signs with, or "" for the zero
// key.
func (k SigningKey) Algorithm() Algorithm { return k.public.Algorithm() }

// MarshalPEM returns the private key as PKCS #8 PEM. The result is a secret. It
// fails for the zero key.
func (k SigningKey) MarshalPEM() ([]byte, error) {
	if k.IsZero() {
		return nil, errZeroKey
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("marshal signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// String hides the private key.
func (k SigningKey) String() string {
	return fmt.Sprintf("accesstoken.SigningKey{ID: %s, Algorithm: %s}", k.ID(), k.Algorithm())
}

// GoString hides the private key.
func (k SigningKey) GoString() string { return k.String() }

var errZeroKey = errors.New("signing key: is required; make one with GenerateSigningKey or ParseSigningKey")
