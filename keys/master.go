package keys

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

const masterKeyLen = 32

// A MasterKey seals the keys in a store. It prints as its fingerprint only.
type MasterKey struct {
	secret [masterKeyLen]byte
	set    bool
}

// NewMasterKey returns a random key.
func NewMasterKey() (MasterKey, error) {
	key := MasterKey{set: true}
	_, err := rand.Read(key.secret[:])
	return key, err
}

// ParseMasterKeys reads keys in the form of [MasterKey.Marshal], one per line. It
// ignores empty lines, lines that begin with #, and a byte order mark before the first
// line, which editors on Windows write. It fails if there is no key.
// The error contains no part of the text.
func ParseMasterKeys(text []byte) ([]MasterKey, error) {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	var found []MasterKey
	for i, line := range bytes.Split(text, []byte("\n")) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(string(line))
		if err != nil || len(raw) != masterKeyLen {
			return nil, fmt.Errorf("line %d is no master key: want %d bytes in base64, such as tandem master-key makes", i+1, masterKeyLen)
		}
		found = append(found, MasterKey{secret: [masterKeyLen]byte(raw), set: true})
	}
	if len(found) == 0 {
		return nil, errors.New("there is no master key in it; tandem master-key makes one")
	}
	return found, nil
}

// Marshal returns the key in base64, with a newline. The result is a secret.
func (k MasterKey) Marshal() []byte {
	return append(base64.StdEncoding.AppendEncode(nil, k.secret[:]), '\n')
}

// Fingerprint returns 16 hexadecimal digits that identify the key and reveal nothing
// else about it.
func (k MasterKey) Fingerprint() string { return hex.EncodeToString(k.derive("fingerprint", 8)) }

// String hides the key.
func (k MasterKey) String() string { return "keys.MasterKey{" + k.Fingerprint() + "}" }

// GoString hides the key.
func (k MasterKey) GoString() string { return k.String() }

func (k MasterKey) derive(purpose string, length int) []byte {
	derived, err := hkdf.Key(sha256.New, k.secret[:], nil, "tandem keys v1: "+purpose, length)
	if err != nil {
		panic(err) // impossible: HKDF fails only for a length that is too long
	}
	return derived
}

func (k MasterKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(k.derive("seal", 32))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}
