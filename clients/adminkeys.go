package clients

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// AdminScopes are what keys of the API for administrators may be good for. A scope ending in
// ":write" includes that ending in ":read".
var AdminScopes = []string{
	"users:read", "users:write", "sessions:read", "sessions:write", "audit:read", "keys:read", "keys:write",
}

// adminKeyPrefix begins every key of the API for administrators, so that programs that look
// for secrets in code find it.
const adminKeyPrefix = "tandem_ak_"

// ErrWrongKey is returned by [Registry.AdminKey] for a text that is no key, or no longer.
var ErrWrongKey = errors.New("this is no key of the API for administrators, or it was removed or has expired")

// An AdminKey is a key of the API for administrators, without its secret.
type AdminKey struct {
	ID        string    `json:"id"`
	Scopes    []string  `json:"scopes"`
	CreatedAt time.Time `json:"createdAt"`
	// ExpiresAt is zero for a key that does not expire.
	ExpiresAt time.Time `json:"expiresAt,omitzero"`

	SecretHash []byte `json:"secretHash,omitempty"`
}

// May reports whether the key has a scope.
func (k AdminKey) May(scope string) bool {
	if slices.Contains(k.Scopes, scope) {
		return true
	}
	area, isRead := strings.CutSuffix(scope, ":read")
	return isRead && slices.Contains(k.Scopes, area+":write")
}

// IsAdminKey reports whether a text looks like a key of the API for administrators.
func IsAdminKey(text string) bool { return strings.HasPrefix(text, adminKeyPrefix) }

// AddAdminKey adds a key and returns its text, which the registry does not keep. It returns
// [ErrExists] if the ID is taken, and an error that says what is wrong for an ID or a scope
// that cannot be.
func (r *Registry) AddAdminKey(ctx context.Context, k AdminKey) (text string, err error) {
	if !idForm.MatchString(k.ID) {
		return "", fmt.Errorf("%q cannot be an ID: want 1 to 64 letters, digits, dots, hyphens and underscores", k.ID)
	}
	if len(k.Scopes) == 0 {
		return "", fmt.Errorf("the key is good for nothing: want one or more of %s", strings.Join(AdminScopes, ", "))
	}
	for _, scope := range k.Scopes {
		if !slices.Contains(AdminScopes, scope) {
			return "", fmt.Errorf("there is no scope %q: want one or more of %s", scope, strings.Join(AdminScopes, ", "))
		}
	}
	k.CreatedAt = r.now().UTC().Truncate(time.Second)
	k.Scopes = slices.Compact(slices.Sorted(slices.Values(k.Scopes)))
	secret := rand.Text() + rand.Text() // 260 random bits
	hash := sha256.Sum256([]byte(secret))
	k.SecretHash = hash[:]
	err = r.changeDocument(ctx, func(d *document) error {
		if slices.ContainsFunc(d.AdminKeys, func(old AdminKey) bool { return old.ID == k.ID }) {
			return ErrExists
		}
		if len(d.AdminKeys) >= maxClients {
			return fmt.Errorf("there are %d keys, and may be no more", maxClients)
		}
		d.AdminKeys = append(d.AdminKeys, k)
		slices.SortFunc(d.AdminKeys, func(a, b AdminKey) int { return strings.Compare(a.ID, b.ID) })
		return nil
	})
	if err != nil {
		return "", err
	}
	return adminKeyPrefix + k.ID + "_" + secret, nil
}

// RemoveAdminKey removes a key, which is wrong from then on. It returns [ErrNotFound] if there
// is none with that ID.
func (r *Registry) RemoveAdminKey(ctx context.Context, id string) error {
	return r.changeDocument(ctx, func(d *document) error {
		before := len(d.AdminKeys)
		d.AdminKeys = slices.DeleteFunc(d.AdminKeys, func(k AdminKey) bool { return k.ID == id })
		if len(d.AdminKeys) == before {
			return ErrNotFound
		}
		return nil
	})
}

// AdminKeys returns all keys by ID, without their secrets' hashes.
func (r *Registry) AdminKeys(ctx context.Context) ([]AdminKey, error) {
	d, _, err := r.load(ctx)
	for i := range d.AdminKeys {
		d.AdminKeys[i].SecretHash = nil
	}
	return d.AdminKeys, err
}

// AdminKey returns the key with this text, or [ErrWrongKey]; another error is the store's.
func (r *Registry) AdminKey(ctx context.Context, text string) (AdminKey, error) {
	rest, isKey := strings.CutPrefix(text, adminKeyPrefix)
	i := strings.LastIndexByte(rest, '_')
	if !isKey || i < 0 {
		return AdminKey{}, ErrWrongKey
	}
	id, hash := rest[:i], sha256.Sum256([]byte(rest[i+1:]))
	d, _, err := r.load(ctx)
	if err != nil {
		return AdminKey{}, err
	}
	for _, k := range d.AdminKeys {
		if k.ID != id || subtle.ConstantTimeCompare(k.SecretHash, hash[:]) != 1 {
			continue
		}
		if !k.ExpiresAt.IsZero() && !r.now().Before(k.ExpiresAt) {
			return AdminKey{}, ErrWrongKey
		}
		k.SecretHash = nil
		return k, nil
	}
	return AdminKey{}, ErrWrongKey
}
