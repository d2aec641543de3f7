package server

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"

	"github.com/tandem-auth/tandem/rotation"
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
	method  jwt.SigningMethod
	public  jwk
	header  string // of the tokens that it signs, in base64url
}

// A jwk is the public half as the key set has it (RFC 7517).
type jwk struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	Modulus   string `json:"n,omitempty"`
	Exponent  string `json:"e,omitempty"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	ID        string `json:"kid"`
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
	key := SigningKey{private: private}
	switch public := private.Public().(type) {
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() {
			return SigningKey{}, fmt.Errorf("signing key is on the curve %s, want P-256", public.Curve.Params().Name)
		}
		point, err := public.Bytes()
		if err != nil {
			return SigningKey{}, fmt.Errorf("signing key: %w", err)
		}
		x, y := point[1:33], point[33:]
		key.method = jwt.SigningMethodES256
		key.public = jwk{KeyType: "EC", Curve: "P-256", X: encode(x), Y: encode(y)}
	case ed25519.PublicKey:
		key.method = jwt.SigningMethodEdDSA
		key.public = jwk{KeyType: "OKP", Curve: "Ed25519", X: encode(public)}
	case *rsa.PublicKey:
		if public.N.BitLen() < minRSABits {
			return SigningKey{}, fmt.Errorf("signing key has %d bits, want at least %d", public.N.BitLen(), minRSABits)
		}
		exponent := big.NewInt(int64(public.E)).Bytes()
		key.method = jwt.SigningMethodRS256
		key.public = jwk{KeyType: "RSA", Modulus: encode(public.N.Bytes()), Exponent: encode(exponent)}
	default:
		return SigningKey{}, fmt.Errorf("signing key is a %T, want P-256, Ed25519 or RSA", public)
	}
	key.public.Use = "sig"
	key.public.Algorithm = key.method.Alg()
	key.public.ID = key.public.thumbprint()
	key.header = encode(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":%q}`, key.method.Alg(), key.ID(), accessTokenType))
	return key, nil
}

// thumbprint returns the SHA-256 thumbprint of RFC 7638: the required members
// only, in the order of their names.
func (k jwk) thumbprint() string {
	var members string
	switch k.KeyType {
	case "EC":
		members = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Curve, k.X, k.Y)
	case "OKP":
		members = fmt.Sprintf(`{"crv":%q,"kty":"OKP","x":%q}`, k.Curve, k.X)
	case "RSA":
		members = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.Exponent, k.Modulus)
	}
	sum := sha256.Sum256([]byte(members))
	return encode(sum[:])
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// ID returns the key's "kid": its RFC 7638 thumbprint, SHA-256 in base64url.
func (k SigningKey) ID() string { return k.public.ID }

// Algorithm returns what the key signs with, or "" for the zero key.
func (k SigningKey) Algorithm() Algorithm { return Algorithm(k.public.Algorithm) }

// MarshalPEM returns the private key as PKCS #8 PEM. It is a secret.
func (k SigningKey) MarshalPEM() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, fmt.Errorf("marshal signing key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: der}), nil
}

// String hides the private key.
func (k SigningKey) String() string {
	return fmt.Sprintf("server.SigningKey{ID: %s, Algorithm: %s}", k.ID(), k.Algorithm())
}

// GoString hides the private key.
func (k SigningKey) GoString() string { return k.String() }

func (k SigningKey) check() error {
	if k.private == nil {
		return errors.New("is required; make one with GenerateSigningKey or ParseSigningKey")
	}
	return nil
}

// NewRefreshKey returns a random key for [Config] RefreshKeys, with a random ID.
func NewRefreshKey() (rotation.Key, error) {
	var random [4 + rotation.MinSecretLen]byte
	if _, err := rand.Read(random[:]); err != nil {
		return rotation.Key{}, fmt.Errorf("generate a refresh key: %w", err)
	}
	return rotation.Key{ID: binary.BigEndian.Uint32(random[:]), Secret: random[4:]}, nil
}
