package accesstoken

import (
	"context"
	"encoding/json"
	"fmt"
)

// A KeySet is the public keys that access tokens are checked with at one time.
// It does not change; [NewKeySet] makes one.
type KeySet struct {
	byID map[string]PublicKey
	json string
}

// NewKeySet returns the set of the keys, published in that order. It fails for
// the zero key, and for a key that is there twice.
func NewKeySet(keys ...PublicKey) (*KeySet, error) {
	set := &KeySet{byID: map[string]PublicKey{}}
	published := struct {
		Keys []jwk `json:"keys"`
	}{Keys: []jwk{}}
	for i, key := range keys {
		if key.key == nil {
			return nil, fmt.Errorf("key set: key %d is empty", i)
		}
		if _, twice := set.byID[key.ID()]; twice {
			return nil, fmt.Errorf("key set: key %d is there twice: %v", i, key)
		}
		set.byID[key.ID()] = key
		published.Keys = append(published.Keys, key.jwk)
	}
	text, err := json.Marshal(published)
	if err != nil {
		return nil, fmt.Errorf("marshal the key set: %w", err)
	}
	set.json = string(text)
	return set, nil
}

// JSON returns the set as it is published (RFC 7517 section 5).
func (s *KeySet) JSON() string { return s.json }

// A KeySource gives a [Verifier] the keys of the moment.
type KeySource interface {
	// KeySet returns the keys to check with now. The verifier calls it for every
	// token, from many goroutines at once, so it must not wait for anything.
	KeySet() *KeySet

	// Reload looks for keys that were published since. The verifier calls it when a
	// token names a key that is not in the set, and then looks in KeySet again. With
	// an error it is not known whether the token is good.
	Reload(ctx context.Context) error
}
