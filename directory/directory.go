// Package directory is the user directory that comes with the server. It keeps
// names and argon2id password hashes in the server's own database. A program
// with its own user database implements [server.Directory] for it instead.
package directory

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// Users is the store of a [Directory]. Package sqlitestore has an
// implementation.
type Users interface {
	// AddUser returns [store.ErrExists] if the name or the subject is taken.
	AddUser(ctx context.Context, user store.User) error
	// UserByName, SetPasswordHash and RemoveUser return [store.ErrNotFound] if there
	// is no user of that name.
	UserByName(ctx context.Context, name string) (store.User, error)
	SetPasswordHash(ctx context.Context, name, hash string) error
	// ReplacePasswordHash sets the hash to to, but only if it still is from.
	ReplacePasswordHash(ctx context.Context, name, from, to string) error
	RemoveUser(ctx context.Context, name string) error
	// UpdateUser changes the fields that are set, in one step. It returns
	// [store.ErrNotFound] if there is no user of that name.
	UpdateUser(ctx context.Context, name string, change store.UserChange) error
	// Users returns all users, sorted by name.
	Users(ctx context.Context) ([]store.User, error)
}

// Config sets the rules for passwords and the cost of their hashes. The zero
// value is a good choice.
type Config struct {
	// MinPassword is the minimum length of a new password, in characters. Defaults
	// to 8.
	MinPassword int

	// AllowCommon accepts new passwords that are among the 30,000 most common ones
	// or equal the user's name. By default the directory refuses them, as NIST SP
	// 800-63B requires.
	AllowCommon bool

	// Memory (KiB) and Iterations are the parameters of argon2id. Hashes of another
	// cost stay valid; the directory replaces each when its user next signs in.
	// Default to 19,456 KiB and 2, with one thread: the first recommendation of the
	// OWASP password storage cheat sheet.
	Memory, Iterations uint32

	// Concurrency is how many passwords the directory hashes at once. It bounds the
	// memory in use, and leaves processors free for requests other than sign-ins.
	// Up to 16 times as many calls wait, each for at most 5 seconds. The server
	// reads Concurrency and lets sign-ins wait in a fair queue of its own. Defaults
	// to half of GOMAXPROCS, at least 1.
	Concurrency int
}

// ErrRule is wrapped by errors about a name, a password or a role that breaks a rule, which
// their texts state.
var ErrRule = errors.New("a rule is broken")

// The longest names and passwords in bytes. The server accepts no longer ones.
const (
	maxName     = 256
	maxPassword = 1024
)

const (
	waitersPerTurn = 16
	longestWait    = 5 * time.Second
)

// ErrBusy is returned when too many passwords are waiting to be hashed. The
// caller may try again a moment later.
var ErrBusy = errors.New("too many passwords are being checked at once")

// A Directory authenticates the users of a database, and manages them. It is
// safe for concurrent use.
type Directory struct {
	users       Users
	minPassword int
	allowCommon bool
	even        evenWork
	turns       chan struct{}
	waiting     atomic.Int64
	// decoy is the hash with which check compares the password of an unknown user.
	decoy string
}

var (
	_ server.Directory   = (*Directory)(nil)
	_ server.Revalidator = (*Directory)(nil)
	_ server.Bounded     = (*Directory)(nil)

	_ server.SubjectFinder = (*Directory)(nil)
	_ server.Refresher     = (*Directory)(nil)
	_ server.Unlocker      = (*Directory)(nil)
)

// New returns a directory of the users in that store.
func New(users Users, config Config) *Directory {
	if config.MinPassword == 0 {
		config.MinPassword = 8
	}
	if config.Memory == 0 {
		config.Memory = 19 << 10
	}
	if config.Iterations == 0 {
		config.Iterations = 2
	}
	if config.Concurrency <= 0 {
		config.Concurrency = max(1, runtime.GOMAXPROCS(0)/2)
	}
	d := &Directory{
		users:       users,
		minPassword: config.MinPassword,
		allowCommon: config.AllowCommon,
		even: evenWork{params: argon2id.Params{
			Memory: config.Memory, Iterations: config.Iterations, Parallelism: 1,
			SaltLength: 16, KeyLength: 32,
		}},
		turns: make(chan struct{}, config.Concurrency),
	}
	d.decoy = decoy(d.even.params)
	return d
}

// decoy returns a hash that costs as much to check as a new user's, and that no
// password matches.
func decoy(params argon2id.Params) string {
	random := make([]byte, params.SaltLength+params.KeyLength)
	_, _ = rand.Read(random) // documented never to return an error
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		params.Memory, params.Iterations, params.Parallelism,
		b64(random[:params.SaltLength]), b64(random[params.SaltLength:]))
}

// Authenticate returns the user with this name and password, or
// [server.ErrInvalidCredentials], or [ErrBusy]. It ignores spaces around the
// name. It takes as long for an unknown name as for a wrong password, whatever
// the user's hash costs.
func (d *Directory) Authenticate(ctx context.Context, username, password string) (server.Identity, error) {
	user, err := d.users.UserByName(ctx, canonical(username))
	known := err == nil
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return server.Identity{}, err
	}
	result, err := d.check(ctx, password, user.PasswordHash, known)
	if err != nil {
		return server.Identity{}, err
	}
	if !result.right || !user.DisabledAt.IsZero() {
		return server.Identity{}, server.ErrInvalidCredentials
	}
	if *result.params != d.even.params {
		d.rehash(ctx, user, password)
	}
	return identityOf(user), nil
}

func identityOf(user store.User) server.Identity {
	return server.Identity{Subject: user.Subject, Username: user.Name, Scope: user.Roles, Version: version(user)}
}

// canonical returns a name in the form that the store keeps. Keyboards may send é as one
// character or as two, and may add a space.
func canonical(name string) string { return norm.NFC.String(strings.TrimSpace(name)) }

// Concurrency returns how many passwords the directory hashes at once.
func (d *Directory) Concurrency() int { return cap(d.turns) }

// SubjectOf returns the subject of the user of that name, or "" if there is no
// such user.
func (d *Directory) SubjectOf(ctx context.Context, username string) (string, error) {
	user, err := d.users.UserByName(ctx, canonical(username))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return user.Subject, err
}

// StillValid reports whether the user still exists and still has the password of
// the sign-in from which the identity comes.
func (d *Directory) StillValid(ctx context.Context, identity server.Identity) (bool, error) {
	user, err := d.users.UserByName(ctx, identity.Username)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return user.Subject == identity.Subject && version(user) == identity.Version && user.DisabledAt.IsZero(), err
}

// Refresh returns the user as they are now, with the roles as the scope. It returns
// [server.ErrUserGone] for a user who was removed or disabled.
func (d *Directory) Refresh(ctx context.Context, identity server.Identity) (server.Identity, error) {
	user, err := d.users.UserByName(ctx, identity.Username)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && (user.Subject != identity.Subject || !user.DisabledAt.IsZero()):
		return server.Identity{}, server.ErrUserGone
	case err != nil:
		return server.Identity{}, err
	}
	return identityOf(user), nil
}

// UnlockedAt returns when an operator last lifted the limits on the user's sign-ins, or the
// zero time.
func (d *Directory) UnlockedAt(ctx context.Context, username string) (time.Time, error) {
	user, err := d.users.UserByName(ctx, canonical(username))
	if errors.Is(err, store.ErrNotFound) {
		return time.Time{}, nil
	}
	return user.UnlockedAt, err
}

func version(user store.User) string { return strconv.FormatInt(user.Version, 10) }

// Add adds a user, with roles or without. It returns [store.ErrExists] if the name
// is taken, and [ErrBusy] if too many passwords are waiting. If the name, the
// password or a role breaks a rule, the error states the rule.
func (d *Directory) Add(ctx context.Context, name, password string, roles ...string) error {
	text, err := joinRoles(roles)
	if err != nil {
		return err
	}
	name = norm.NFC.String(name)
	if err := checkName(name); err != nil {
		return err
	}
	hash, err := d.newHash(ctx, name, password)
	if err != nil {
		return err
	}
	return d.users.AddUser(ctx, store.User{
		Name:         name,
		Subject:      rand.Text(),
		PasswordHash: hash,
		CreatedAt:    time.Now(),
		Roles:        text,
	})
}

// SetPassword changes a user's password. It returns [store.ErrNotFound] if there
// is no such user, and the same errors as Add about the password. It does not
// end the user's sessions; the caller does that.
func (d *Directory) SetPassword(ctx context.Context, name, password string) error {
	hash, err := d.newHash(ctx, name, password)
	if err != nil {
		return err
	}
	return d.users.SetPasswordHash(ctx, canonical(name), hash)
}

// Find returns a user, or [store.ErrNotFound].
func (d *Directory) Find(ctx context.Context, name string) (store.User, error) {
	return d.users.UserByName(ctx, canonical(name))
}

// Remove removes a user, or returns [store.ErrNotFound]. It does not end the
// user's sessions; the caller does that.
func (d *Directory) Remove(ctx context.Context, name string) error {
	return d.users.RemoveUser(ctx, canonical(name))
}

// List returns all users, sorted by name.
func (d *Directory) List(ctx context.Context) ([]store.User, error) { return d.users.Users(ctx) }

func (d *Directory) newHash(ctx context.Context, name, password string) (string, error) {
	if err := d.checkPassword(name, password); err != nil {
		return "", err
	}
	return d.hash(ctx, password)
}

func (d *Directory) hash(ctx context.Context, password string) (string, error) {
	done, err := d.takeTurn(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	hash, err := argon2id.CreateHash(norm.NFC.String(password), &d.even.params)
	if err != nil {
		return "", fmt.Errorf("hash a password: %w", err)
	}
	return hash, nil
}

// A checked is the result of checking a password.
type checked struct {
	right  bool
	params *argon2id.Params // of the hash
	worked uint64           // the cost of the check, as work counts it
}

// check compares a password with a user's hash, or with the decoy if the user is
// unknown.
func (d *Directory) check(ctx context.Context, password, hash string, known bool) (checked, error) {
	done, err := d.takeTurn(ctx)
	if err != nil {
		return checked{}, err
	}
	defer done()
	if !known {
		hash = d.decoy
	}
	right, params, err := argon2id.CheckHash(norm.NFC.String(password), hash)
	if err != nil {
		return checked{}, fmt.Errorf("read a password hash: %w", err)
	}
	d.even.met(params)
	result := checked{right: right && known, params: params, worked: work(params)}
	if !result.right {
		result.worked += d.even.fill(params)
	}
	return result, nil
}

// takeTurn waits until fewer than Concurrency passwords are being hashed. It
// bounds the wait and the number of waiting calls; otherwise, with calls that
// arrive faster than passwords are hashed, every call would wait too long.
func (d *Directory) takeTurn(ctx context.Context) (done func(), err error) {
	defer d.waiting.Add(-1)
	if d.waiting.Add(1) > int64(waitersPerTurn*cap(d.turns)) {
		return nil, ErrBusy
	}
	timeout := time.NewTimer(longestWait)
	defer timeout.Stop()
	select {
	case d.turns <- struct{}{}:
		return func() { <-d.turns }, nil
	case <-timeout.C:
		return nil, ErrBusy
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
}

// rehash replaces a hash of another cost. If it fails, the old hash stays valid,
// and the user's next sign-in tries again.
func (d *Directory) rehash(ctx context.Context, user store.User, password string) {
	if hash, err := d.hash(ctx, password); err == nil {
		_ = d.users.ReplacePasswordHash(ctx, user.Name, user.PasswordHash, hash)
	}
}
