package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// A PublicKey checks the signatures of its [SigningKey]. [SigningKey.Public]
// returns one.
type PublicKey struct {
	key    crypto.PublicKey
	method jwt.SigningMethod
	jwk    jwk
}

// A jwk is a public key in the JSON form of the key set (RFC 7517 section 4).
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

func newPublicKey(key crypto.PublicKey) (PublicKey, error) {
	p := PublicKey{key: key}
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return PublicKey{}, fmt.Errorf("signing key is on the curve %s, want P-256", key.Curve.Params().Name)
		}
		point, err := key.Bytes()
		if err != nil {
			return PublicKey{}, fmt.Errorf("signing key: %w", err)
		}
		x, y := point[1:33], point[33:]
		p.method = jwt.SigningMethodES256
		p.jwk = jwk{KeyType: "EC", Curve: "P-256", X: encode(x), Y: encode(y)}
	case ed25519.PublicKey:
		p.method = jwt.SigningMethodEdDSA
		p.jwk = jwk{KeyType: "OKP", Curve: "Ed25519", X: encode(key)}
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSABits {
			return PublicKey{}, fmt.Errorf("signing key has %d bits, want at least %d", key.N.BitLen(), minRSABits)
		}
		exponent := big.NewInt(int64(key.E)).Bytes()
		p.method = jwt.SigningMethodRS256
		p.jwk = jwk{KeyType: "RSA", Modulus: encode(key.N.Bytes()), Exponent: encode(exponent)}
	default:
		return PublicKey{}, fmt.Errorf("signing key is a %T, want P-256, Ed25519 or RSA", key)
	}
	p.jwk.Use = "sig"
	p.jwk.Algorithm = p.method.Alg()
	p.jwk.ID = p.jwk.thumbprint()
	return p, nil
}

// ID returns the key's "kid": its RFC 7638 thumbprint, SHA-256 in base64url.
func (k PublicKey) ID() string { return k.jwk.ID }

// Algorithm returns the algorithm of the signatures that the key checks, or ""
// for the zero key.
func (k PublicKey) Algorithm() Algorithm { return Algorithm(k.jwk.Algorithm) }

// header returns the JWT header, in base64url, of tokens of a type.
func (k PublicKey) header(typ string) string {
	return encode(fmt.Appendf(nil, `{"alg":%q,"kid":%q,"typ":%q}`, k.method.Alg(), k.ID(), typ))
}

// String returns the key's ID and algorithm.
func (k PublicKey) String() string {
	return fmt.Sprintf("accesstoken.PublicKey{ID: %s, Algorithm: %s}", k.ID(), k.Algorithm())
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
