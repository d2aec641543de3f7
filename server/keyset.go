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

// A KeySet is what a server signs and checks with at one time: access tokens and
// refresh tokens. It does not change; [NewKeySet] makes one.
type KeySet struct {
	signing SigningKey
	public  *accesstoken.KeySet
	etag    string // of what is published
	codec   *rotation.Codec
}

// NewKeySet returns a set that signs access tokens with the first key, accepts and
// publishes those of the others, too, and makes refresh tokens with the first
// refresh key and accepts those of all.
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

// A KeySource gives a server its keys where these change while it runs. Package
// keys has one.
type KeySource interface {
	// KeySet returns what to use now. It is called in every request, by many at once,
	// and must not wait for anything.
	KeySet() *KeySet

	// Reload looks for keys that another server has published. It is called when a
	// token was made with a key that is not in the set; with an error of Reload the
	// server cannot tell whether the token is good, and says so (503). The context
	// ends after 5 seconds.
	Reload(ctx context.Context) error
}

// staticKeys never change.
type staticKeys struct{ set *KeySet }

func (k staticKeys) KeySet() *KeySet              { return k.set }
func (k staticKeys) Reload(context.Context) error { return nil }

// verifierKeys are the keys of a source that check access tokens.
type verifierKeys struct{ KeySource }

func (k verifierKeys) KeySet() *accesstoken.KeySet { return k.KeySource.KeySet().public }

// Reload returns a problem: without the keys nobody can tell whether the token is
// good.
func (k verifierKeys) Reload(ctx context.Context) error {
	if err := k.KeySource.Reload(ctx); err != nil {
		return unavailable("look for the key of an access token", err)
	}
	return nil
}

// decode returns what a refresh token says, once its MAC is checked, and the keys that it
// was checked with: its successor is made with the same, so that a refresh which is under
// way while a key is revoked does not carry the session over to the next key.
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
