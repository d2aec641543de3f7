package server

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
)

// A KeySet holds the keys with which a server signs and checks access tokens and refresh
// tokens. It is immutable; [NewKeySet] makes one.
type KeySet struct {
	signing SigningKey
	public  *accesstoken.KeySet
	etag    string // of the published JSON
	codec   *rotation.Codec
}

// NewKeySet returns a key set. It signs access tokens with signing; it publishes signing
// and the keys in published, and accepts access tokens of all of them. It makes refresh
// tokens with the first key in refresh, and accepts refresh tokens of every key there.
// The error names the [Config] field of the key that is missing, invalid or there twice.
func NewKeySet(signing SigningKey, published []SigningKey, refresh []rotation.Key) (*KeySet, error) {
	if signing.IsZero() {
		return nil, fmt.Errorf("SigningKey: %w", errNoSigningKey)
	}
	public := []accesstoken.PublicKey{signing.Public()}
	for i, key := range published {
		if key.IsZero() {
			return nil, fmt.Errorf("RetiredSigningKeys: key %d: %w", i, errNoSigningKey)
		}
		if slices.ContainsFunc(public, func(other accesstoken.PublicKey) bool { return other.ID() == key.ID() }) {
			return nil, fmt.Errorf("RetiredSigningKeys: key %d is there twice: %v", i, key)
		}
		public = append(public, key.Public())
	}
	set := &KeySet{signing: signing}
	var err error
	if set.codec, err = rotation.NewCodec(refresh...); err != nil {
		return nil, fmt.Errorf("RefreshKeys: %w", err)
	}
	if set.public, err = accesstoken.NewKeySet(public...); err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(set.public.JSON()))
	set.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return set, nil
}

var errNoSigningKey = errors.New("is required; make one with GenerateSigningKey or ParseSigningKey")

// A KeySource supplies keys that change while the server runs. Package keys has an
// implementation.
type KeySource interface {
	// KeySet returns the current keys. The server calls it in every request, from
	// many goroutines at once; it must not block.
	KeySet() *KeySet

	// Reload looks for keys that another server has published. The server calls it
	// when a token was made with a key that is not in the set. If Reload returns an
	// error, the server cannot tell whether the token is valid, and answers 503. The
	// context ends after 5 seconds.
	Reload(ctx context.Context) error
}

// staticKeys are a [KeySource] whose keys never change.
type staticKeys struct{ set *KeySet }

func (k staticKeys) KeySet() *KeySet              { return k.set }
func (k staticKeys) Reload(context.Context) error { return nil }

// verifierKeys are the keys of a source that check access tokens, as an
// [accesstoken.KeySource].
type verifierKeys struct{ KeySource }

func (k verifierKeys) KeySet() *accesstoken.KeySet { return k.KeySource.KeySet().public }

// Reload returns its error as a problem of status 503: without the keys the server cannot
// tell whether the token is valid.
func (k verifierKeys) Reload(ctx context.Context) error {
	if err := k.KeySource.Reload(ctx); err != nil {
		return unavailable("look for the key of an access token", err)
	}
	return nil
}

// decode checks the MAC of a refresh token and returns its contents, and the keys that it
// was checked with: the server makes the token's successor with the same keys, so that a
// refresh which is under way while a key is revoked does not carry the session over to the
// next key. If the token's key is unknown, decode reloads the keys first.
func (s *Server) decode(ctx context.Context, text string) (rotation.Token, *KeySet, error) {
	set := s.cfg.Keys.KeySet()
	token, err := set.codec.Decode(text)
	if !errors.Is(err, rotation.ErrUnknownKey) {
		return token, set, err
	}
	if err := s.cfg.Keys.Reload(ctx); err != nil {
		return rotation.Token{}, nil, unavailable("look for the key of a refresh token", err)
	}
	set = s.cfg.Keys.KeySet()
	token, err = set.codec.Decode(text)
	return token, set, err
}
