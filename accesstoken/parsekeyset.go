package accesstoken

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// Limits of a key set that somebody else publishes.
const (
	maxKeys     = 100
	maxRSABits  = 8192 // a larger key would make each check slow
	minExponent = 3
)

// ParseKeySet reads a key set in its JSON form (RFC 7517 section 5), such as a server
// publishes. It leaves out what cannot check an access token: keys of other types and
// algorithms, keys for encryption, symmetric keys, and keys without an ID. It fails if no
// key is left, if two have the same ID, and for a set of more than 100 keys.
func ParseKeySet(text []byte) (*KeySet, error) {
	var published struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &published); err != nil {
		return nil, fmt.Errorf("key set: %w", err)
	}
	if len(published.Keys) > maxKeys {
		return nil, fmt.Errorf("key set: it has %d keys, and may have %d", len(published.Keys), maxKeys)
	}
	var keys []PublicKey
	for _, text := range published.Keys {
		if key, err := parsePublicKey(text); err == nil {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("key set: it has no key that checks access tokens")
	}
	return NewKeySet(keys...)
}

// parsePublicKey reads a key that checks access tokens, and keeps the ID that its
// publisher has given it.
func parsePublicKey(text []byte) (PublicKey, error) {
	var read jwk
	if err := json.Unmarshal(text, &read); err != nil {
		return PublicKey{}, err
	}
	if read.ID == "" || read.Use != "" && read.Use != "sig" {
		return PublicKey{}, errors.New("the key has no kid, or is not for signatures")
	}
	public, err := read.key()
	if err != nil {
		return PublicKey{}, err
	}
	key, err := newPublicKey(public)
	if err != nil {
		return PublicKey{}, err
	}
	if read.Algorithm != "" && read.Algorithm != key.jwk.Algorithm {
		return PublicKey{}, fmt.Errorf("the key is for %.20q", read.Algorithm)
	}
	key.jwk.ID = read.ID
	return key, nil
}

// key returns the public key that the members describe (RFC 7518 section 6, RFC 8037).
func (k jwk) key() (crypto.PublicKey, error) {
	switch {
	case k.KeyType == "EC" && k.Curve == "P-256":
		x, err := decode(k.X, 32)
		if err != nil {
			return nil, err
		}
		y, err := decode(k.Y, 32)
		if err != nil {
			return nil, err
		}
		// It fails unless the point is on the curve.
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	case k.KeyType == "OKP" && k.Curve == "Ed25519":
		x, err := decode(k.X, ed25519.PublicKeySize)
		return ed25519.PublicKey(x), err
	case k.KeyType == "RSA":
		n, err := decode(k.Modulus, 0)
		if err != nil {
			return nil, err
		}
		e, err := decode(k.Exponent, 0)
		if err != nil {
			return nil, err
		}
		modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
		if modulus.BitLen() > maxRSABits || !exponent.IsInt64() || exponent.Int64() < minExponent || exponent.Int64() > 1<<31-1 || exponent.Bit(0) == 0 {
			return nil, errors.New("the RSA key is too large, or its exponent is wrong")
		}
		return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
	}
	return nil, fmt.Errorf("no key of the type %.20q and the curve %.20q checks access tokens", k.KeyType, k.Curve)
}

// decode returns what base64url stands for, which must have a length unless that is 0.
func decode(text string, length int) ([]byte, error) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err == nil && length != 0 && len(b) != length {
		err = fmt.Errorf("a member has %d bytes, want %d", len(b), length)
	}
	return b, err
}
