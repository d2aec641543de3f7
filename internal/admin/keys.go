package admin

import (
	"context"
	"errors"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/clients"
	"github.com/tandem-auth/tandem/keys"
	"github.com/tandem-auth/tandem/store"
)

// RotateKeys makes the next keys ahead of the schedule; see [keys.Operator.Rotate].
func (o Operator) RotateKeys(ctx context.Context, by By, k keys.Operator) ([]keys.Key, error) {
	next, err := k.Rotate(ctx)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, made := range next {
		errs = append(errs, o.record(ctx, by, audit.KeyRotate, "", keyTarget(made)))
	}
	return next, errors.Join(errs...)
}

// RevokeKey takes a key out of use; see [keys.Operator.Revoke].
func (o Operator) RevokeKey(ctx context.Context, by By, k keys.Operator, id string) (keys.Key, error) {
	revoked, err := k.Revoke(ctx, id)
	if err != nil {
		return keys.Key{}, err
	}
	return revoked, o.record(ctx, by, audit.KeyRevoke, "", keyTarget(revoked))
}

// AddAdminKey adds a key of the API for administrators; see [clients.Registry.AddAdminKey].
func (o Operator) AddAdminKey(ctx context.Context, by By, k clients.AdminKey) (text string, err error) {
	if text, err = clients.New(o.Store).AddAdminKey(ctx, k); err != nil {
		return "", err
	}
	return text, o.record(ctx, by, audit.AdminKeyAdd, "", target(k.ID))
}

// RemoveAdminKey removes a key of the API for administrators.
func (o Operator) RemoveAdminKey(ctx context.Context, by By, id string) error {
	if err := clients.New(o.Store).RemoveAdminKey(ctx, id); err != nil {
		return err
	}
	return o.record(ctx, by, audit.AdminKeyRemove, "", target(id))
}

// AddClient adds an OAuth 2 client; see [clients.Registry.Add].
func (o Operator) AddClient(ctx context.Context, by By, c clients.Client) (secret string, err error) {
	if secret, err = clients.New(o.Store).Add(ctx, c); err != nil {
		return "", err
	}
	return secret, o.record(ctx, by, audit.ClientAdd, "", target(c.ID))
}

// RemoveClient removes an OAuth 2 client.
func (o Operator) RemoveClient(ctx context.Context, by By, id string) error {
	if err := clients.New(o.Store).Remove(ctx, id); err != nil {
		return err
	}
	return o.record(ctx, by, audit.ClientRemove, "", target(id))
}

func target(id string) func(*store.AuditRecord) {
	return func(r *store.AuditRecord) { r.Target = id }
}
