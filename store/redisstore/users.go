package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/store"
)

// usersTag puts all users into one slot of a Cluster, so that one script can check both
// the name and the subject.
const usersTag = "{users}:"

func (s *Store) userKey(name string) string { return s.key(usersTag + "name:" + name) }

// userKeys returns the keys that the scripts for users get.
func (s *Store) userKeys(name string) []string {
	return []string{s.userKey(name), s.key(usersTag + "names"), s.key(usersTag + "subjects")}
}

// AddUser adds a user. If the name or the subject is taken, the error is
// [store.ErrExists].
func (s *Store) AddUser(ctx context.Context, user store.User) error {
	const doing = "add a user"
	done, err := s.changeUser(ctx, doing, onceOnly, s.scripts.addUser, user.Name,
		user.Name, user.Subject, "password_hash", user.PasswordHash, "created_at", millis(user.CreatedAt),
		"roles", user.Roles, "disabled_at", millisOrZero(user.DisabledAt), "unlocked_at", millisOrZero(user.UnlockedAt))
	if err == nil && !done {
		return fmt.Errorf("%s: %w", doing, store.ErrExists)
	}
	return err
}

// UserByName returns a user, or [store.ErrNotFound].
func (s *Store) UserByName(ctx context.Context, name string) (store.User, error) {
	const doing = "find a user"
	found, err := s.getUsers(ctx, doing, []string{name})
	if err == nil && len(found) == 0 {
		return store.User{}, fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	if err != nil {
		return store.User{}, err
	}
	return found[0], nil
}

// SetPasswordHash sets the hash of a new password and counts up the user's version, or
// returns [store.ErrNotFound].
func (s *Store) SetPasswordHash(ctx context.Context, name, hash string) error {
	const doing = "set a password"
	done, err := s.changeUser(ctx, doing, onceOnly, s.scripts.setHash, name, hash)
	if err == nil && !done {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// ReplacePasswordHash replaces a user's hash with another hash of the same password, if
// the stored hash is still from; otherwise it changes nothing.
func (s *Store) ReplacePasswordHash(ctx context.Context, name, from, to string) error {
	_, err := s.changeUser(ctx, "replace a password hash", repeatable, s.scripts.replaceHash, name, from, to)
	return err
}

// UpdateUser changes fields of a user in one step, or returns [store.ErrNotFound].
func (s *Store) UpdateUser(ctx context.Context, name string, change store.UserChange) error {
	const doing = "change a user"
	var fields []string
	if change.Roles != nil {
		fields = append(fields, "roles", *change.Roles)
	}
	if change.DisabledAt != nil {
		fields = append(fields, "disabled_at", millisOrZero(*change.DisabledAt))
	}
	if change.UnlockedAt != nil {
		fields = append(fields, "unlocked_at", millisOrZero(*change.UnlockedAt))
	}
	done, err := s.changeUser(ctx, doing, repeatable, s.scripts.updateUser, name, fields...)
	if err == nil && !done {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// RemoveUser removes a user, or returns [store.ErrNotFound].
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	const doing = "remove a user"
	done, err := s.changeUser(ctx, doing, onceOnly, s.scripts.delUser, name, name)
	if err == nil && !done {
		return fmt.Errorf("%s: %w", doing, store.ErrNotFound)
	}
	return err
}

// Users returns all users, sorted by name.
func (s *Store) Users(ctx context.Context) ([]store.User, error) {
	const doing = "list users"
	var names []string
	err := s.try(ctx, doing, repeatable, func(bool) (err error) {
		// Redis sorts members with equal scores by their bytes.
		names, err = s.client.Do(ctx, s.client.B().Zrange().Key(s.key(usersTag+"names")).Min("0").Max("-1").Build()).AsStrSlice()
		return err
	})
	if err != nil {
		return nil, err
	}
	var all []store.User
	for some := range slices.Chunk(names, atOnce) {
		found, err := s.getUsers(ctx, doing, some)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// changeUser executes a script on a user, and returns whether the script changed the
// user.
func (s *Store) changeUser(ctx context.Context, doing string, again repeat, one *script, name string, args ...string) (done bool, _ error) {
	err := s.runDurably(ctx, doing, again, one, s.userKeys(name), args, func(answer rueidis.RedisResult) (err error) {
		done, err = answer.AsBool()
		return err
	})
	return done, err
}

// getUsers returns the users with the given names, and leaves out names without a user.
func (s *Store) getUsers(ctx context.Context, doing string, names []string) (found []store.User, _ error) {
	err := s.try(ctx, doing, repeatable, func(bool) error {
		found = found[:0]
		commands := make(rueidis.Commands, len(names))
		for i, name := range names {
			commands[i] = s.client.B().Hgetall().Key(s.userKey(name)).Build()
		}
		for _, answer := range s.client.DoMulti(ctx, commands...) {
			hash, err := answer.AsStrMap()
			if err != nil {
				return err
			}
			if len(hash) == 0 {
				continue
			}
			user, err := scanUser(hash)
			if err != nil {
				return err
			}
			found = append(found, user)
		}
		return nil
	})
	return found, err
}

func scanUser(hash map[string]string) (store.User, error) {
	version, err := strconv.ParseInt(hash["version"], 10, 64)
	if err != nil {
		return store.User{}, damaged(err)
	}
	createdAt, err := strconv.ParseInt(hash["created_at"], 10, 64)
	if err != nil {
		return store.User{}, damaged(err)
	}
	user := store.User{
		Name: hash["name"], Subject: hash["subject"], PasswordHash: hash["password_hash"], Roles: hash["roles"],
		Version: version, CreatedAt: time.UnixMilli(createdAt),
	}
	if user.DisabledAt, err = timeOrZero(hash["disabled_at"]); err != nil {
		return store.User{}, damaged(err)
	}
	if user.UnlockedAt, err = timeOrZero(hash["unlocked_at"]); err != nil {
		return store.User{}, damaged(err)
	}
	return user, nil
}

// A field that may have no time has 0 then, or is not there: earlier versions knew none.

func millisOrZero(t time.Time) string {
	if t.IsZero() {
		return "0"
	}
	return millis(t)
}

func timeOrZero(text string) (time.Time, error) {
	if text == "" || text == "0" {
		return time.Time{}, nil
	}
	ms, err := strconv.ParseInt(text, 10, 64)
	return time.UnixMilli(ms), err
}
