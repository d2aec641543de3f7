// Package admin is what administrators do to a server's users, sessions and keys, and the
// record of it: for the command on the server's machine, which needs no running server, and
// for the HTTP API.
package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/directory"
	"github.com/tandem-auth/tandem/internal/storage"
	"github.com/tandem-auth/tandem/rotation"
	"github.com/tandem-auth/tandem/store"
)

// RoleAdmin is the role of users who may use the API for administrators.
const RoleAdmin = "admin"

// An Operator does what administrators ask for, and records it. Servers may be running on
// the store. It is safe for concurrent use.
type Operator struct {
	Store storage.Store
	Users *directory.Directory
	// Record keeps the record of an act.
	Record func(context.Context, store.AuditRecord) error
	// Ended is told of sessions that an act has ended. Optional.
	Ended func(reason rotation.EndReason, n int)
}

// By says who acts; see [store.AuditRecord].
type By struct{ Actor, IP, RequestID string }

// NewOperator returns an operator that records its acts in the store itself: the act has
// succeeded only once its record is durable.
func NewOperator(s storage.Store) Operator {
	return Operator{
		Store: s,
		Users: directory.New(s, directory.Config{}),
		Record: func(ctx context.Context, r store.AuditRecord) error {
			return s.AppendAudit(ctx, []store.AuditRecord{r})
		},
	}
}

// Errors for which a person can do something.
var (
	ErrNoUser    = errors.New("there is no such user")
	ErrNoSession = errors.New("there is no such session, or it was deleted after it had ended")
	ErrOver      = errors.New("the session has ended already")
)

// record keeps the record of an act that has succeeded. If it fails, the act has been done.
func (o Operator) record(ctx context.Context, by By, action, subject string, change func(*store.AuditRecord)) error {
	r := audit.New(action, by.Actor)
	r.Subject, r.IP, r.RequestID = subject, by.IP, by.RequestID
	if change != nil {
		change(&r)
	}
	if err := o.Record(context.WithoutCancel(ctx), r); err != nil {
		return fmt.Errorf("it was done, but the record of it could not be kept: %w", err)
	}
	return nil
}

// A noUserError wraps [ErrNoUser].
type noUserError struct{ name string }

func (e *noUserError) Error() string { return fmt.Sprintf("there is no user %q", e.name) }
func (e *noUserError) Unwrap() error { return ErrNoUser }

// find returns a user, or an error that wraps [ErrNoUser].
func (o Operator) find(ctx context.Context, name string) (store.User, error) {
	user, err := o.Users.Find(ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return store.User{}, &noUserError{name}
	}
	return user, err
}

// endAll ends all sessions of a user as revoked, and returns how many that were.
func (o Operator) endAll(ctx context.Context, user store.User) (int, error) {
	n, err := o.Store.EndSubject(context.WithoutCancel(ctx), user.Subject, rotation.Revoked, time.Now())
	if n > 0 && o.Ended != nil {
		o.Ended(rotation.Revoked, n)
	}
	return n, err
}

// AddUser adds a user with these roles. It returns [store.ErrExists] if the name is taken,
// and an error that says which rule the name, the password or a role breaks.
func (o Operator) AddUser(ctx context.Context, by By, name, password string, roles []string) (User, error) {
	if err := o.Users.Add(ctx, name, password, roles...); err != nil {
		return User{}, err
	}
	user, err := o.find(ctx, name)
	if err != nil {
		return User{}, err
	}
	return describeUser(user), o.record(ctx, by, audit.UserAdd, user.Subject, func(r *store.AuditRecord) { r.Target = user.Name })
}

// RemoveUser removes a user, so that no new session can begin, and then ends the sessions.
// It returns how many it has ended.
func (o Operator) RemoveUser(ctx context.Context, by By, name string) (int, error) {
	user, err := o.find(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := o.Users.Remove(ctx, name); err != nil {
		return 0, err
	}
	n, err := o.endAll(ctx, user)
	if err != nil {
		err = fmt.Errorf("the user is removed, but the sessions go on until their next refresh: %w", err)
	}
	return n, errors.Join(err, o.record(ctx, by, audit.UserRemove, user.Subject, func(r *store.AuditRecord) { r.Target = user.Name }))
}

// SetPassword changes a user's password and, unless keep is set, ends the user's sessions.
// It returns how many it has ended.
func (o Operator) SetPassword(ctx context.Context, by By, name, password string, keep bool) (n int, err error) {
	user, err := o.find(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := o.Users.SetPassword(ctx, name, password); err != nil {
		return 0, err
	}
	if !keep {
		if n, err = o.endAll(ctx, user); err != nil {
			err = fmt.Errorf("the password is changed, but the sessions go on: %w", err)
		}
	}
	return n, errors.Join(err, o.record(ctx, by, audit.PasswordChange, user.Subject, nil))
}

// Disable keeps a user from signing in, and ends the sessions. It returns how many it has
// ended.
func (o Operator) Disable(ctx context.Context, by By, name string) (int, error) {
	user, err := o.find(ctx, name)
	if err != nil {
		return 0, err
	}
	if err := o.Users.Disable(ctx, name); err != nil {
		return 0, err
	}
	n, err := o.endAll(ctx, user)
	if err != nil {
		err = fmt.Errorf("the user is disabled, but the sessions go on until their next refresh: %w", err)
	}
	return n, errors.Join(err, o.record(ctx, by, audit.UserDisable, user.Subject, nil))
}

// Enable lets a user who was disabled sign in again.
func (o Operator) Enable(ctx context.Context, by By, name string) error {
	return o.change(ctx, by, audit.UserEnable, name, "", o.Users.Enable)
}

// Unlock lifts the limits on a user's sign-ins.
func (o Operator) Unlock(ctx context.Context, by By, name string) error {
	return o.change(ctx, by, audit.UserUnlock, name, "", o.Users.Unlock)
}

// SetRoles replaces a user's roles. The user's programs have them from their next refresh on.
func (o Operator) SetRoles(ctx context.Context, by By, name string, roles []string) error {
	return o.change(ctx, by, audit.UserRoles, name, strings.Join(roles, " "), func(ctx context.Context, name string) error {
		return o.Users.SetRoles(ctx, name, roles...)
	})
}

// change does something to a user, and records it.
func (o Operator) change(ctx context.Context, by By, action, name, target string, do func(ctx context.Context, name string) error) error {
	user, err := o.find(ctx, name)
	if err != nil {
		return err
	}
	if err := do(ctx, name); err != nil {
		return err
	}
	return o.record(ctx, by, action, user.Subject, func(r *store.AuditRecord) { r.Target = target })
}

// Recover lets an administrator in who is locked out, whatever the cause: it adds the user if
// there is none, sets the password, enables the user, lifts the limits on sign-ins, gives the
// role admin, and ends the user's sessions, which may be those of a thief. It may be repeated.
func (o Operator) Recover(ctx context.Context, by By, name, password string) (added bool, ended int, err error) {
	user, err := o.find(ctx, name)
	switch {
	case errors.Is(err, ErrNoUser):
		if _, err := o.AddUser(ctx, by, name, password, []string{RoleAdmin}); err != nil {
			return false, 0, err
		}
		return true, 0, nil
	case err != nil:
		return false, 0, err
	}
	if err := o.Users.SetPassword(ctx, name, password); err != nil {
		return false, 0, err
	}
	roles := strings.Fields(user.Roles)
	if !slices.Contains(roles, RoleAdmin) {
		roles = append(roles, RoleAdmin)
	}
	err = errors.Join(o.Users.Enable(ctx, name), o.Users.Unlock(ctx, name), o.Users.SetRoles(ctx, name, roles...))
	if err != nil {
		return false, 0, fmt.Errorf("the password is set, but not all else was done; run it again: %w", err)
	}
	if ended, err = o.endAll(ctx, user); err != nil {
		err = fmt.Errorf("the user can sign in, but the earlier sessions go on; run it again: %w", err)
	}
	return false, ended, errors.Join(err, o.record(ctx, by, audit.UserRecover, user.Subject, nil))
}
