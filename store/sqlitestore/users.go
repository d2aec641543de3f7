package sqlitestore

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/store"
)

// AddUser adds a user. If the name or the subject is taken, the error is
// [store.ErrExists].
func (s *Store) AddUser(ctx context.Context, user store.User) error {
	_, err := s.exec(ctx, "add a user",
		`INSERT INTO users (name, subject, password_hash, version, created_at) VALUES (?, ?, ?, 1, ?)`,
		user.Name, user.Subject, user.PasswordHash, user.CreatedAt.UnixMilli())
	return err
}

// UserByName returns a user, or [store.ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (store.User, error) {
	user, err := scanUser(s.reader.QueryRowContext(ctx,
		`SELECT name, subject, password_hash, version, created_at FROM users WHERE name = ?`, name))
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
		`SELECT name, subject, password_hash, version, created_at FROM users ORDER BY name`)
}

func scanUser(row row) (store.User, error) {
	var (
		user      store.User
		createdAt int64
	)
	err := row.Scan(&user.Name, &user.Subject, &user.PasswordHash, &user.Version, &createdAt)
	user.CreatedAt = time.UnixMilli(createdAt)
	return user, err
}
