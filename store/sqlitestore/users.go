package sqlitestore

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/store"
)

const userColumns = `name, subject, password_hash, version, created_at, roles, disabled_at, unlocked_at`

const selectUser = `SELECT ` + userColumns + ` FROM users WHERE name = ?`

// AddUser adds a user. If the name or the subject is taken, the error is
// [store.ErrExists].
func (s *Store) AddUser(ctx context.Context, user store.User) error {
	_, err := s.exec(ctx, "add a user",
		`INSERT INTO users (`+userColumns+`) VALUES (?, ?, ?, 1, ?, ?, ?, ?)`,
		user.Name, user.Subject, user.PasswordHash, user.CreatedAt.UnixMilli(), user.Roles, millisOrZero(user.DisabledAt), millisOrZero(user.UnlockedAt))
	return err
}

// UserByName returns a user, or [store.ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (store.User, error) {
	user, err := scanUser(s.userByName.QueryRowContext(ctx, name))
	return user, s.explain(ctx, "find a user", err)
}

// SetPasswordHash sets the hash of a new password and counts up the user's version, or
// returns [store.ErrNotFound].
func (s *Store) SetPasswordHash(ctx context.Context, name, hash string) error {
	return s.exec1(ctx, "set a password", `UPDATE users SET password_hash = ?, version = version + 1 WHERE name = ?`, hash, name)
}

// ReplacePasswordHash replaces a user's hash with another hash of the same password, if
// the stored hash is still from; otherwise it changes nothing.
func (s *Store) ReplacePasswordHash(ctx context.Context, name, from, to string) error {
	_, err := s.exec(ctx, "replace a password hash",
		`UPDATE users SET password_hash = ? WHERE name = ? AND password_hash = ?`, to, name, from)
	return err
}

// RemoveUser removes a user, or returns [store.ErrNotFound].
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.exec1(ctx, "remove a user", `DELETE FROM users WHERE name = ?`, name)
}

// Users returns all users, sorted by name.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	return collect(ctx, s, "list users", scanUser,
		`SELECT `+userColumns+` FROM users ORDER BY name`)
}

// UpdateUser changes fields of a user in one step, or returns [store.ErrNotFound].
func (s *Store) UpdateUser(ctx context.Context, name string, change store.UserChange) error {
	return s.exec1(ctx, "change a user", `UPDATE users SET
			roles = coalesce(?2, roles), disabled_at = coalesce(?3, disabled_at), unlocked_at = coalesce(?4, unlocked_at)
		WHERE name = ?1`, name, change.Roles, optionalMillis(change.DisabledAt), optionalMillis(change.UnlockedAt))
}

func scanUser(row row) (store.User, error) {
	var (
		user                              store.User
		createdAt, disabledAt, unlockedAt int64
	)
	err := row.Scan(&user.Name, &user.Subject, &user.PasswordHash, &user.Version, &createdAt, &user.Roles, &disabledAt, &unlockedAt)
	user.CreatedAt = time.UnixMilli(createdAt)
	user.DisabledAt, user.UnlockedAt = timeOrZero(disabledAt), timeOrZero(unlockedAt)
	return user, err
}

// The columns that may have no time keep 0 then.

func millisOrZero(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func timeOrZero(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis)
}

func optionalMillis(t *time.Time) *int64 {
	if t == nil {
		return nil
	}
	millis := millisOrZero(*t)
	return &millis
}
