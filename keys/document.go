package keys

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tandem-auth/tandem/accesstoken"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/server"
)

// A use is the purpose of a key.
type use string

const (
	signing use = "sign access tokens"
	refresh use = "authenticate refresh tokens"
)

// A key is an entry of the document. Its times are to the millisecond.
type key struct {
	Use use `json:"use"`
	// Algorithm is set for a signing key only.
	Algorithm accesstoken.Algorithm `json:"alg,omitempty"`
	// ID is the "kid" of a signing key, or eight hexadecimal digits for a refresh key.
	ID string `json:"id"`
	// ActiveFrom is when the key begins to make tokens. Servers accept its tokens
	// before that too.
	ActiveFrom time.Time `json:"activeFrom"`
	// KeepUntil is when every token that the key made has expired. It is zero while
	// the key has no successor.
	KeepUntil time.Time `json:"keepUntil,omitzero"`
	// RevokedAt is when an operator revoked the key, or zero. The entry of a revoked
	// key has no secret. It stays in the document so that no server puts the key
	// back.
	RevokedAt time.Time `json:"revokedAt,omitzero"`
	// Secret is PKCS #8 PEM for a signing key, and the raw bytes for a refresh key.
	Secret []byte `json:"secret,omitempty"`
}

func (k key) isRevoked() bool { return !k.RevokedAt.IsZero() }

// revoked returns the entry of the key after its revocation, without the secret.
func (k key) revoked(at time.Time) key {
	return key{Use: k.Use, Algorithm: k.Algorithm, ID: k.ID, ActiveFrom: k.ActiveFrom, RevokedAt: toMillisecond(at)}
}

func toMillisecond(t time.Time) time.Time { return time.UnixMilli(t.UnixMilli()).UTC() }

// A document holds all keys. Their order has no meaning.
type document []key

// An envelope is the sealed form of a document, which the store keeps.
type envelope struct {
	Format    int    `json:"format"`
	MasterKey string `json:"masterKey"` // its fingerprint
	Sealed    []byte `json:"sealed"`
}

const format = 1

// ErrMasterKey is wrapped by the errors for a document that is sealed under none of the
// given master keys.
var ErrMasterKey = errors.New("the keys in the store were sealed under another master key")

// seal returns the document in its sealed form.
func (d document) seal(master MasterKey) ([]byte, error) {
	plain, err := json.Marshal(d) //nolint:gosec // to be sealed
	if err != nil {
		return nil, err
	}
	aead, err := master.aead()
	if err != nil {
		return nil, err
	}
	e := envelope{Format: format, MasterKey: master.Fingerprint()}
	e.Sealed = aead.Seal(nil, nil, plain, e.authenticated()) //nolint:gosec // the nonce is drawn by Seal
	return json.Marshal(e)
}

// authenticated returns the additional data that the seal authenticates.
func (e envelope) authenticated() []byte { return fmt.Appendf(nil, "%d %s", e.Format, e.MasterKey) }

// open is the inverse of seal. It tries every master key, and reports whether the
// document is sealed under the first.
func open(sealed []byte, masters []MasterKey) (_ document, first bool, _ error) {
	var e envelope
	if err := json.Unmarshal(sealed, &e); err != nil {
		return nil, false, errors.New("the keys in the store are damaged: put them back from a backup")
	}
	if e.Format > format {
		return nil, false, fmt.Errorf("the keys in the store were written by a newer Tandem (format %d, this one knows up to %d): run that one", e.Format, format)
	}
	i := slices.IndexFunc(masters, func(k MasterKey) bool { return k.Fingerprint() == e.MasterKey })
	if i < 0 {
		return nil, false, fmt.Errorf("%w (its fingerprint is %s; given was %s): give all servers that share a store the same one",
			ErrMasterKey, e.MasterKey, masters[0].Fingerprint())
	}
	aead, err := masters[i].aead()
	if err != nil {
		return nil, false, err
	}
	plain, err := aead.Open(nil, nil, e.Sealed, e.authenticated())
	if err != nil {
		return nil, false, errors.New("the keys in the store have been tampered with, or are damaged: put them back from a backup")
	}
	var d document
	if err := json.Unmarshal(plain, &d); err != nil {
		return nil, false, errors.New("the keys in the store are sealed correctly, but are not valid: put them back from a backup")
	}
	return d, i == 0, nil
}

// keySet returns the key set for a server at the time now. Even if a wrong clock says that
// no key is active yet, the set has a key that makes tokens, unless the document has none.
func (d document) keySet(alg accesstoken.Algorithm, now time.Time) (*server.KeySet, error) {
	inUse := d.inUse(now, func(k key) bool { return k.Use == signing && k.Algorithm == alg })
	if inUse == nil || inUse.ActiveFrom.After(now) {
		// Sign with a key of another algorithm until the first key of this algorithm has
		// been published for long enough.
		inUse = d.inUse(now, func(k key) bool { return k.Use == signing })
	}
	first := d.inUse(now, func(k key) bool { return k.Use == refresh })
	if inUse == nil || first == nil {
		return nil, errors.New("there are no keys")
	}
	var signer accesstoken.SigningKey
	var others []accesstoken.SigningKey
	var refreshKeys []rotation.Key
	for i := range d {
		k := &d[i]
		switch {
		case k.isRevoked():
		case k.Use == signing:
			parsed, err := accesstoken.ParseSigningKey(k.Secret)
			if err != nil {
				return nil, fmt.Errorf("key %s: %w", k.ID, err)
			}
			if k == inUse {
				signer = parsed
			} else {
				others = append(others, parsed)
			}
		case k.Use == refresh:
			parsed, err := k.refreshKey()
			if err != nil {
				return nil, err
			}
			if k == first {
				refreshKeys = slices.Insert(refreshKeys, 0, parsed)
			} else {
				refreshKeys = append(refreshKeys, parsed)
			}
		}
	}
	return server.NewKeySet(signer, others, refreshKeys)
}

func (k key) refreshKey() (rotation.Key, error) {
	var id uint32
	if _, err := fmt.Sscanf(k.ID, "%08x", &id); err != nil {
		return rotation.Key{}, fmt.Errorf("the ID %q of a refresh key is not a number", k.ID)
	}
	return rotation.Key{ID: id, Secret: k.Secret}, nil
}

// inUse returns the newest active key among the wanted ones, or, if none is active, the
// one that becomes active first. It leaves out revoked keys, and returns nil if none is
// left.
func (d document) inUse(now time.Time, wanted func(key) bool) *key {
	var best *key
	for i := range d {
		k := &d[i]
		switch {
		case k.isRevoked() || !wanted(*k):
		case best == nil,
			best.ActiveFrom.After(now) && k.ActiveFrom.Before(best.ActiveFrom),
			!k.ActiveFrom.After(now) && k.ActiveFrom.After(best.ActiveFrom):
			best = k
		}
	}
	return best
}
