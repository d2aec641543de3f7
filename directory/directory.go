// Package directory is the user directory that comes with the server: names and
// argon2id password hashes in the server's own database. A program that has
// users of its own implements [server.Directory] over those instead.
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
	"unicode/utf8"

	"github.com/alexedwards/argon2id"
	"golang.org/x/crypto/argon2"
	"golang.org/x/text/unicode/norm"

	"github.com/tandem-auth/tandem/internal/visible"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
)

// Users keeps the users. Package sqlitestore has one.
type Users interface {
	// AddUser returns [store.ErrExists] if the name or the subject is taken.
	AddUser(ctx context.Context, user store.User) error
	// UserByName, SetPasswordHash and RemoveUser return [store.ErrNotFound] for a
	// name that is not there.
	UserByName(ctx context.Context, name string) (store.User, error)
	SetPasswordHash(ctx context.Context, name, hash string) error
	// ReplacePasswordHash is SetPasswordHash, but changes nothing if the hash is
	// not from any more.
	ReplacePasswordHash(ctx context.Context, name, from, to string) error
	RemoveUser(ctx context.Context, name string) error
	// Users returns all users by name.
	Users(ctx context.Context) ([]store.User, error)
}

// Config says what a password must be and what its hash costs. The zero value is
// good.
type Config struct {
	// MinPassword is how many characters a new password must have at least.
	// Defaults to 8.
	MinPassword int

	// AllowCommon takes passwords that are among the 30,000 most common ones or are
	// the user's name. By default they are refused, as NIST SP 800-63B has it.
	AllowCommon bool

	// Memory (KiB) and Iterations are argon2id's. Hashes of another cost stay
	// valid, and are replaced when their user next signs in. Default to 19,456 KiB
	// and 2, with one thread: the first recommendation of the OWASP password
	// storage cheat sheet.
	Memory, Iterations uint32

	// Concurrency is how many passwords are hashed at once; others wait their
	// turn, up to 16 times as many and for 5 seconds. It bounds the memory, and
	// leaves processors to what is not a sign-in. A server asks for it, and has its
	// sign-ins wait in a fair queue of its own. Defaults to half of GOMAXPROCS, at
	// least 1.
	Concurrency int
}

// What names and passwords may be, in bytes: the server takes no longer ones.
const (
	maxName     = 256
	maxPassword = 1024
)

const (
	waitersPerTurn = 16
	longestWait    = 5 * time.Second
)

// ErrBusy is returned where too many passwords are waiting to be hashed. The same
// call may go well a moment later.
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
	// decoy is the hash that the password of an unknown user is compared with.
	decoy string
}

var (
	_ server.Directory   = (*Directory)(nil)
	_ server.Revalidator = (*Directory)(nil)
	_ server.Bounded     = (*Directory)(nil)

	_ server.SubjectFinder = (*Directory)(nil)
)

// New returns a directory over users.
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

// decoy returns a hash that takes as long to check as any, and that no password
// has.
func decoy(params argon2id.Params) string {
	random := make([]byte, params.SaltLength+params.KeyLength)
	_, _ = rand.Read(random) // never fails
	b64 := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version,
		params.Memory, params.Iterations, params.Parallelism,
		b64(random[:params.SaltLength]), b64(random[params.SaltLength:]))
}

// Authenticate returns the user whose name and password these are, or
// [server.ErrInvalidCredentials]. Spaces around the name do not count. It works as
// hard for an unknown name as for a wrong password, whatever the user's hash costs.
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
	if !result.right {
		return server.Identity{}, server.ErrInvalidCredentials
	}
	if *result.params != d.even.params {
		d.rehash(ctx, user, password)
	}
	return identity(user), nil
}

func identity(user store.User) server.Identity {
	return server.Identity{Subject: user.Subject, Username: user.Name, Version: version(user)}
}

// canonical is a name as it is kept: keyboards may send é as one character or as two,
// and add a space.
func canonical(name string) string { return norm.NFC.String(strings.TrimSpace(name)) }

// Concurrency returns how many passwords are hashed at once.
func (d *Directory) Concurrency() int { return cap(d.turns) }

// SubjectOf returns the subject of the user of that name, or "" if there is none.
func (d *Directory) SubjectOf(ctx context.Context, username string) (string, error) {
	user, err := d.users.UserByName(ctx, canonical(username))
	if errors.Is(err, store.ErrNotFound) {
		return "", nil
	}
	return user.Subject, err
}

// StillValid reports whether a user is still there, with the password of then.
func (d *Directory) StillValid(ctx context.Context, identity server.Identity) (bool, error) {
	user, err := d.users.UserByName(ctx, identity.Username)
	if errors.Is(err, store.ErrNotFound) {
		return false, nil
	}
	return user.Subject == identity.Subject && version(user) == identity.Version, err
}

func version(user store.User) string { return strconv.FormatInt(user.Version, 10) }

// Add adds a user, or returns [store.ErrExists]. Any other error about the name
// or the password says what they must be.
func (d *Directory) Add(ctx context.Context, name, password string) error {
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
	})
}

// SetPassword changes a password, or returns [store.ErrNotFound]. The user's
// sessions are another matter: ending them is up to the caller.
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

// Remove removes a user, or returns [store.ErrNotFound]. The user's sessions are
// another matter: ending them is up to the caller.
func (d *Directory) Remove(ctx context.Context, name string) error {
	return d.users.RemoveUser(ctx, canonical(name))
}

// List returns all users by name.
func (d *Directory) List(ctx context.Context) ([]store.User, error) { return d.users.Users(ctx) }

func checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case len(name) > maxName:
		return fmt.Errorf("the name is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("the name is not UTF-8")
	case strings.ContainsFunc(name, visible.IsHidden):
		return errors.New("the name has characters in it that nobody sees")
	case strings.TrimSpace(name) != name:
		return errors.New("the name begins or ends with a space")
	}
	return nil
}

func (d *Directory) checkPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password):
		return errors.New("the password is not UTF-8")
	case utf8.RuneCountInString(password) < d.minPassword:
		return fmt.Errorf("the password is too short: it must have at least %d characters", d.minPassword)
	case len(password) > maxPassword:
		return fmt.Errorf("the password is too long: it must have at most %d bytes", maxPassword)
	case !d.allowCommon && isCommon(name, password):
		return errors.New("the password is one of the most common ones, or the user's name: choose another that is not guessed that soon")
	}
	return nil
}

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

// A checked is what came of checking a password.
type checked struct {
	right  bool
	params *argon2id.Params // of the hash
	worked uint64
}

// check compares a password with a user's hash, or with that of nobody.
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

// takeTurn waits until fewer than Concurrency passwords are being hashed. The wait
// is bounded, and so is the number of those who wait: a queue that grows faster
// than it is worked off would otherwise keep everybody out.
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

// rehash replaces a hash of another cost. It may fail: the old one stays good,
// and the next sign-in tries again.
func (d *Directory) rehash(ctx context.Context, user store.User, password string) {
	if hash, err := d.hash(ctx, password); err == nil {
		_ = d.users.ReplacePasswordHash(ctx, user.Name, user.PasswordHash, hash)
	}
}
