package directory

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/store"
)

// Disable keeps a user from signing in, or returns [store.ErrNotFound]. It does not end the
// user's sessions; the caller does that.
func (d *Directory) Disable(ctx context.Context, name string) error {
	now := d.now()
	return d.users.UpdateUser(ctx, canonical(name), store.UserChange{DisabledAt: &now})
}

// Enable lets a user who was disabled sign in again, or returns [store.ErrNotFound].
func (d *Directory) Enable(ctx context.Context, name string) error {
	return d.users.UpdateUser(ctx, canonical(name), store.UserChange{DisabledAt: &time.Time{}})
}

// Unlock lifts the limits on a user's sign-ins that earlier failures have caused, on all
// servers at the user's next sign-in. It returns [store.ErrNotFound] if there is no such
// user.
func (d *Directory) Unlock(ctx context.Context, name string) error {
	now := d.now()
	return d.users.UpdateUser(ctx, canonical(name), store.UserChange{UnlockedAt: &now})
}

// SetRoles replaces a user's roles: the scope of their access tokens from the next refresh
// on. It returns [store.ErrNotFound] if there is no such user, and an error that says what is
// wrong for a role that cannot be one.
func (d *Directory) SetRoles(ctx context.Context, name string, roles ...string) error {
	text, err := joinRoles(roles)
	if err != nil {
		return err
	}
	return d.users.UpdateUser(ctx, canonical(name), store.UserChange{Roles: &text})
}

// maxRoles bounds the roles of a user in bytes.
const maxRoles = 1000

// joinRoles sorts roles and joins them by spaces.
func joinRoles(roles []string) (string, error) {
	for _, role := range roles {
		if err := checkRole(role); err != nil {
			return "", err
		}
	}
	text := strings.Join(slices.Compact(slices.Sorted(slices.Values(roles))), " ")
	if len(text) > maxRoles {
		return "", rule("the roles have %d bytes together, want at most %d: they are in every access token", len(text), maxRoles)
	}
	return text, nil
}

// checkRole refuses what is no scope-token of RFC 6749 section 3.3.
func checkRole(role string) error {
	isAllowed := func(c rune) bool { return c >= '!' && c <= '~' && c != '"' && c != '\\' }
	if role == "" || strings.ContainsFunc(role, func(c rune) bool { return !isAllowed(c) }) {
		return rule("%q cannot be a role: want letters, digits and signs but quotes, backslashes and spaces, such as editor or orders:read", role)
	}
	return nil
}

func (d *Directory) now() time.Time { return time.Now().Truncate(time.Millisecond) }

// A ruleError states a rule that was broken.
type ruleError struct{ text string }

func rule(format string, args ...any) error { return &ruleError{fmt.Sprintf(format, args...)} }

func (e *ruleError) Error() string { return e.text }
func (e *ruleError) Unwrap() error { return ErrRule }

func checkName(name string) error {
	switch {
	case name == "":
		return rule("the name is empty")
	case len(name) > maxName:
		return rule("the name is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return rule("the name is not UTF-8")
	case strings.ContainsFunc(name, visible.IsHidden):
		return rule("the name contains invisible characters")
	case strings.TrimSpace(name) != name:
		return rule("the name begins or ends with a space")
	}
	return nil
}

func (d *Directory) checkPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password):
		return rule("the password is not UTF-8")
	case utf8.RuneCountInString(password) < d.minPassword:
		return rule("the password is too short: it must have at least %d characters", d.minPassword)
	case len(password) > maxPassword:
		return rule("the password is too long: it must have at most %d bytes", maxPassword)
	case !d.allowCommon && isCommon(name, password):
		return rule("the password is one of the most common ones, or the user's name: choose one that is harder to guess")
	}
	return nil
}
