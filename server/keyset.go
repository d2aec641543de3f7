package server

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tandem-auth/tandem/rotation"
)

// A KeySet is what a server signs and checks with at one time. It does not change;
// [NewKeySet] makes one.
type KeySet struct {
	signing SigningKey
	byID    map[string]SigningKey
	codec   *rotation.Codec
	json    []byte // RFC 7517 section 5
	etag    string
}

// NewKeySet returns a set that signs access tokens with the first key, accepts and
// publishes those of the others, too, and makes refresh tokens with the first
// refresh key and accepts those of all.
func NewKeySet(signing SigningKey, published []SigningKey, refresh []rotation.Key) (*KeySet, error) {
	if err := signing.check(); err != nil {
		return nil, fmt.Errorf("SigningKey: %w", err)
	}
	set := &KeySet{signing: signing, byID: map[string]SigningKey{}}
	public := struct {
		Keys []jwk `json:"keys"`
	}{}
	for i, key := range append([]SigningKey{signing}, published...) {
		if err := key.check(); err != nil {
			return nil, fmt.Errorf("RetiredSigningKeys: key %d: %w", i-1, err)
		}
		if _, twice := set.byID[key.ID()]; twice {
			return nil, fmt.Errorf("RetiredSigningKeys: key %d is there twice: %v", i-1, key)
		}
		set.byID[key.ID()] = key
		public.Keys = append(public.Keys, key.public)
	}
	var err error
	if set.codec, err = rotation.NewCodec(refresh...); err != nil {
		return nil, fmt.Errorf("RefreshKeys: %w", err)
	}
	if set.json, err = json.Marshal(public); err != nil {
		return nil, fmt.Errorf("marshal the key set: %w", err)
	}
	sum := sha256.Sum256(set.json)
	set.etag = `"` + encode(sum[:12]) + `"`
	return set, nil
}

// A KeySource gives a server its keys where these change while it runs. Package
// keys has one.
type KeySource interface {
	// KeySet returns what to use now. It is called in every request, by many at once,
	// and must not wait for anything.
	KeySet() *KeySet

	// Reload looks for keys that another server has published. It is called when a
	// token was made with a key that is not in the set; with an error of Reload the
	// server cannot tell whether the token is good, and says so.
	Reload(ctx context.Context) error
}

// staticKeys never change.
type staticKeys struct{ set *KeySet }

func (k staticKeys) KeySet() *KeySet              { return k.set }
func (k staticKeys) Reload(context.Context) error { return nil }

// decode returns what a refresh token says, once its MAC is checked.
func (s *Server) decode(ctx context.Context, text string) (rotation.Token, error) {
	token, err := s.cfg.Keys.KeySet().codec.Decode(text)
	if !errors.Is(err, rotation.ErrUnknownKey) {
		return token, err
	}
	if err := s.cfg.Keys.Reload(ctx); err != nil {
		return rotation.Token{}, unavailable("look for the key of a refresh token", err)
	}
	return s.cfg.Keys.KeySet().codec.Decode(text)
}
