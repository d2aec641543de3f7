package accesstoken

import (
	"context"
	"encoding/json"
	"fmt"
)

// A KeySet holds the public keys with which a [Verifier] checks access tokens.
// It is immutable; [NewKeySet] makes one.
type KeySet struct {
	byID map[string]PublicKey
	json string
}

// NewKeySet returns a set that publishes the keys in the order given. It fails
// if a key is the zero key or appears twice.
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

// JSON returns the set in the JSON form that a server publishes (RFC 7517
// section 5).
func (s *KeySet) JSON() string { return s.json }

// A KeySource gives a [Verifier] the issuer's current keys.
type KeySource interface {
	// KeySet returns the current keys. The verifier calls it for every token, from
	// many goroutines at once, so it must not block.
	KeySet() *KeySet

	// Reload looks for newly published keys. The verifier calls it when a token
	// names a key that is not in the set, and then calls KeySet again. If Reload
	// fails, the verifier cannot tell whether the token is valid, and returns the
	// error of Reload together with [ErrUnknownKey].
	Reload(ctx context.Context) error
}
