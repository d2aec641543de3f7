package rotation

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"
	"sync"
	"time"
)

// Prefix starts every refresh token, so that a secret scanner can find one that
// leaked into a repository or a log.
const Prefix = "tandem_rt_"

// The layout of a token's bytes. Numbers are big-endian. An encoded token is the
// prefix followed by these bytes in unpadded base64url. Their length is a
// multiple of three, so that every token has exactly one encoding.
const (
	version = 1

	offKey        = 1
	offSession    = offKey + 4
	offGeneration = offSession + len(SessionID{})
	offBranch     = offGeneration + 4
	offIssued     = offBranch + 8
	offMAC        = offIssued + 8
	macLen        = 16
	tokenLen      = offMAC + macLen

	// EncodedLen is the length of every encoded token, in bytes.
	EncodedLen = len(Prefix) + tokenLen/3*4
)

// MinSecretLen is the shortest [Key] secret that [NewCodec] accepts, in bytes.
const MinSecretLen = 32

// Errors of [Codec.Decode]. None of them carries any part of the token.
var (
	// ErrMalformed: the string is not a refresh token of this format.
	ErrMalformed = errors.New("malformed refresh token")
	// ErrUnknownKey: the codec does not have the key that the token names.
	ErrUnknownKey = errors.New("refresh token made with an unknown key")
	// ErrForged: the token's MAC is wrong.
	ErrForged = errors.New("refresh token with a wrong MAC")
)

// A SessionID names a session: 128 random bits.
type SessionID [16]byte

// String returns the ID as 32 lower-case hexadecimal digits.
func (id SessionID) String() string { return hex.EncodeToString(id[:]) }

// ParseSessionID is the inverse of [SessionID.String].
func ParseSessionID(s string) (SessionID, error) {
	var id SessionID
	if len(s) != hex.EncodedLen(len(id)) {
		return SessionID{}, fmt.Errorf("session ID has %d characters, want %d", len(s), hex.EncodedLen(len(id)))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return SessionID{}, errors.New("session ID is not hexadecimal")
	}
	return id, nil
}

// A Token is the contents of a refresh token. It is not a secret; its encoding,
// which carries the MAC, is.
type Token struct {
	Session SessionID
	Position
	// IssuedAt is when the server issued the token. Encode truncates it to
	// milliseconds.
	IssuedAt time.Time
}

// A Key authenticates refresh tokens. Each token carries the ID of its key, so
// that an operator can rotate keys.
type Key struct {
	ID     uint32
	Secret []byte
}

// String hides the secret.
func (k Key) String() string { return fmt.Sprintf("rotation.Key{ID: %08x}", k.ID) }

// GoString hides the secret.
func (k Key) GoString() string { return k.String() }

// A Codec turns tokens into the opaque strings that clients hold, and back. It
// is safe for concurrent use.
type Codec struct {
	active uint32
	macs   map[uint32]*sync.Pool
}

// NewCodec returns a codec that encodes tokens with the first key and accepts
// tokens of every key. It fails if there is no key, if two keys share an ID, or
// if a secret is shorter than [MinSecretLen].
func NewCodec(keys ...Key) (*Codec, error) {
	if len(keys) == 0 {
		return nil, errors.New("no refresh token key")
	}
	c := &Codec{active: keys[0].ID, macs: make(map[uint32]*sync.Pool, len(keys))}
	for _, key := range keys {
		if len(key.Secret) < MinSecretLen {
			return nil, fmt.Errorf("refresh token key %08x has %d bytes, want at least %d", key.ID, len(key.Secret), MinSecretLen)
		}
		if _, twice := c.macs[key.ID]; twice {
			return nil, fmt.Errorf("two refresh token keys with the ID %08x", key.ID)
		}
		secret := append([]byte(nil), key.Secret...)
		c.macs[key.ID] = &sync.Pool{New: func() any {
			return &mac{hash: hmac.New(sha256.New, secret)}
		}}
	}
	return c, nil
}

// Encode returns the opaque string for a token, authenticated with the codec's
// first key.
func (c *Codec) Encode(t Token) string {
	pool := c.macs[c.active]
	m := pool.Get().(*mac)
	defer pool.Put(m)

	raw := m.token[:]
	raw[0] = version
	binary.BigEndian.PutUint32(raw[offKey:], c.active)
	copy(raw[offSession:], t.Session[:])
	binary.BigEndian.PutUint32(raw[offGeneration:], t.Generation)
	binary.BigEndian.PutUint64(raw[offBranch:], t.Branch)
	binary.BigEndian.PutUint64(raw[offIssued:], uint64(t.IssuedAt.UnixMilli()))
	copy(raw[offMAC:], m.sum(raw[:offMAC]))

	copy(m.text[:], Prefix)
	base64.RawURLEncoding.Encode(m.text[len(Prefix):], raw)
	return string(m.text[:])
}

// Decode checks the MAC of an opaque string and returns the token that Encode
// was given. The error is [ErrMalformed], [ErrUnknownKey] or [ErrForged].
func (c *Codec) Decode(s string) (Token, error) {
	body, ok := strings.CutPrefix(s, Prefix)
	if !ok || len(s) != EncodedLen {
		return Token{}, ErrMalformed
	}
	var raw [tokenLen]byte
	var text [EncodedLen - len(Prefix)]byte
	copy(text[:], body)
	n, err := base64.RawURLEncoding.Decode(raw[:], text[:])
	if err != nil || n != tokenLen || raw[0] != version {
		return Token{}, ErrMalformed
	}
	pool, known := c.macs[binary.BigEndian.Uint32(raw[offKey:])]
	if !known {
		return Token{}, ErrUnknownKey
	}
	m := pool.Get().(*mac)
	defer pool.Put(m)
	m.token = raw
	if !hmac.Equal(m.sum(m.token[:offMAC]), raw[offMAC:]) {
		return Token{}, ErrForged
	}

	t := Token{
		Position: Position{
			Generation: binary.BigEndian.Uint32(raw[offGeneration:]),
			Branch:     binary.BigEndian.Uint64(raw[offBranch:]),
		},
		IssuedAt: time.UnixMilli(int64(binary.BigEndian.Uint64(raw[offIssued:]))),
	}
	copy(t.Session[:], raw[offSession:])
	return t, nil
}

// A mac is the working memory of one Encode or Decode. The codec keeps it in a
// pool so that neither call allocates it.
type mac struct {
	hash   hash.Hash
	token  [tokenLen]byte
	text   [EncodedLen]byte
	digest [sha256.Size]byte
}

// sum returns the truncated MAC of header. The next call overwrites the result.
func (m *mac) sum(header []byte) []byte {
	m.hash.Reset()
	m.hash.Write(header)
	return m.hash.Sum(m.digest[:0])[:macLen]
}
