package server

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
)

// These aliases let a program that embeds a server use signing keys without importing
// package accesstoken.
type (
	// An Algorithm signs access tokens; see [accesstoken.Algorithm].
	Algorithm = accesstoken.Algorithm
	// A SigningKey signs access tokens; see [accesstoken.SigningKey].
	SigningKey = accesstoken.SigningKey
)

// The algorithms that a [SigningKey] may have.
const (
	ES256 = accesstoken.ES256
	EdDSA = accesstoken.EdDSA
	RS256 = accesstoken.RS256
)

// GenerateSigningKey is [accesstoken.GenerateSigningKey].
func GenerateSigningKey(alg Algorithm) (SigningKey, error) {
	return accesstoken.GenerateSigningKey(alg)
}

// ParseSigningKey is [accesstoken.ParseSigningKey].
func ParseSigningKey(data []byte) (SigningKey, error) { return accesstoken.ParseSigningKey(data) }

// NewRefreshKey returns a random key for [Config] RefreshKeys, with a random ID.
func NewRefreshKey() (rotation.Key, error) {
	var random [4 + rotation.MinSecretLen]byte
	if _, err := rand.Read(random[:]); err != nil {
		return rotation.Key{}, fmt.Errorf("generate a refresh key: %w", err)
	}
	return rotation.Key{ID: binary.BigEndian.Uint32(random[:]), Secret: random[4:]}, nil
}
