package pgstore

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/store"
)

const userColumns = `name, subject, password_hash, version, created_at, roles, disabled_at, unlocked_at`

// AddUser adds a user. If the name or the subject is taken, the error is
// [store.ErrExists].
func (s *Store) AddUser(ctx context.Context, user store.User) error {
	_, err := s.exec(ctx, "add a user", onceOnly,
		`INSERT INTO tandem_users (`+userColumns+`) VALUES ($1, $2, $3, 1, $4, $5, $6, $7)`,
		user.Name, user.Subject, user.PasswordHash, user.CreatedAt, user.Roles, timeOrNull(user.DisabledAt), timeOrNull(user.UnlockedAt))
	return err
}

// UserByName returns a user, or [store.ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (user store.User, _ error) {
	err := s.queryRow(ctx, "find a user", `SELECT `+userColumns+` FROM tandem_users WHERE name = $1`,
		[]any{name}, func(row pgx.Row) (err error) {
			user, err = scanUser(row)
			return err
		})
	return user, err
}

// SetPasswordHash sets the hash of a new password and counts up the user's version, or
// returns [store.ErrNotFound].
func (s *Store) SetPasswordHash(ctx context.Context, name, hash string) error {
	return s.exec1(ctx, "set a password",
		`UPDATE tandem_users SET password_hash = $2, version = version + 1 WHERE name = $1`, name, hash)
}

// ReplacePasswordHash replaces a user's hash with another hash of the same password, if
// the stored hash is still from and no other transaction has locked the user's row;
// otherwise it changes nothing.
func (s *Store) ReplacePasswordHash(ctx context.Context, name, from, to string) error {
	_, err := s.exec(ctx, "replace a password hash", repeatable,
		`UPDATE tandem_users SET password_hash = $3 WHERE name = (
			SELECT name FROM tandem_users WHERE name = $1 AND password_hash = $2 FOR NO KEY UPDATE SKIP LOCKED)`, name, from, to)
	return err
}

// RemoveUser removes a user, or returns [store.ErrNotFound].
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.exec1(ctx, "remove a user", `DELETE FROM tandem_users WHERE name = $1`, name)
}

// Users returns all users, sorted by name.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	return collect(ctx, s, "list users", scanUser,
		`SELECT `+userColumns+` FROM tandem_users ORDER BY name COLLATE "C"`)
}

// UpdateUser changes fields of a user in one step, or returns [store.ErrNotFound].
func (s *Store) UpdateUser(ctx context.Context, name string, change store.UserChange) error {
	var disabledAt, unlockedAt time.Time
	if change.DisabledAt != nil {
		disabledAt = *change.DisabledAt
	}
	if change.UnlockedAt != nil {
		unlockedAt = *change.UnlockedAt
	}
	return s.exec1(ctx, "change a user", `UPDATE tandem_users SET
			roles = coalesce($2, roles),
			disabled_at = CASE WHEN $3 THEN $4 ELSE disabled_at END,
			unlocked_at = CASE WHEN $5 THEN $6 ELSE unlocked_at END
		WHERE name = $1`, name, change.Roles,
		change.DisabledAt != nil, timeOrNull(disabledAt), change.UnlockedAt != nil, timeOrNull(unlockedAt))
}

func scanUser(row pgx.Row) (user store.User, _ error) {
	var disabledAt, unlockedAt *time.Time
	err := row.Scan(&user.Name, &user.Subject, &user.PasswordHash, &user.Version, &user.CreatedAt, &user.Roles, &disabledAt, &unlockedAt)
	if disabledAt != nil {
		user.DisabledAt = *disabledAt
	}
	if unlockedAt != nil {
		user.UnlockedAt = *unlockedAt
	}
	return user, err
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
