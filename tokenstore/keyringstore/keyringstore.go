// Package keyringstore keeps a session's pair in the keyring of the operating system:
// the Keychain of macOS, the Credential Manager of Windows, and on Linux whatever
// answers as the Secret Service (GNOME Keyring, KWallet, KeePassXC). One process may use
// it, or many: what one of them refreshes the others use.
//
// Where there is no keyring, such as on a server, in a container or over SSH, [Open]
// returns [ErrUnavailable]. Package filestore is the choice then: the pair in a file for
// its owner alone. Nothing falls back to that by itself, for it is another promise.
//
// A keyring may ask its owner for a password: calls wait for that, and their context
// ends the wait. Some take only so much: 2,560 bytes on Windows, some 2,900 on macOS. The
// pair of a Tandem server has about 1,000; the error says so if one is too long.
//
// Keyrings have neither locks nor a compare-and-set, so two files for locks are kept
// beside, in the user's cache folder. They have no secret in them.
package keyringstore

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/tokenstore/internal/document"
	"github.com/tandem-auth/tandem/tokenstore/internal/filelock"
)

// ErrUnavailable is wrapped by the error of [Open] where there is no keyring, or it
// is locked and nobody is there to open it.
var ErrUnavailable = errors.New("there is no keyring to be had; keep the session in a file instead")

// A Store is an entry of the keyring. It is a [tandem.Store] and a [tandem.Locker],
// and safe for concurrent use, by several processes too.
type Store struct {
	service, user string
	locks         string // the path of the files for locks, without what they end in
}

// Open returns the entry of a service, such as the name of your program, for a user,
// such as the address of the server. It need not be there yet.
func Open(service, user string) (*Store, error) {
	if service == "" || user == "" {
		return nil, errors.New("an entry of the keyring needs a service and a user")
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, fmt.Errorf("find a folder for locks: %w", err)
	}
	folder := filepath.Join(cache, "tandem", "locks")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for locks: %w", err)
	}
	sum := sha256.Sum256([]byte(service + "\x00" + user))
	s := &Store{service: service, user: user, locks: filepath.Join(folder, hex.EncodeToString(sum[:12]))}
	if _, err := keyring.Get(service, user); err != nil && !errors.Is(err, keyring.ErrNotFound) {
		return nil, fmt.Errorf("%w (%w)", ErrUnavailable, err)
	}
	_, err = s.read()
	return s, err
}

// Load returns the pair in the keyring, or the zero Pair if there is none.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) {
	return within(ctx, s.read)
}

// CompareAndSwap replaces the entry if it has prev, and removes it for the zero Pair. If
// ctx ends while the keyring is at it, the swap may be done yet; nobody else's comes
// before that.
func (s *Store) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	unlock, _, err := filelock.Lock(ctx, s.locks+".swap")
	if err != nil {
		return false, err
	}
	return within(ctx, func() (bool, error) {
		defer unlock()
		return s.swap(prev, next)
	})
}

// within calls do, which knows no context, and returns once ctx ends: do goes on by
// itself then.
func within[T any](ctx context.Context, do func() (T, error)) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, err
	}
	type outcome struct {
		value T
		err   error
	}
	done := make(chan outcome, 1)
	go func() {
		value, err := do()
		done <- outcome{value, err}
	}()
	select {
	case o := <-done:
		return o.value, o.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// swap is CompareAndSwap with the lock held.
func (s *Store) swap(prev, next tandem.Pair) (bool, error) {
	kept, err := s.read()
	if err != nil || kept.RefreshToken != prev.RefreshToken {
		return false, err
	}
	if next.IsZero() {
		if err := keyring.Delete(s.service, s.user); err != nil && !errors.Is(err, keyring.ErrNotFound) {
			return false, fmt.Errorf("remove the session from the keyring: %w", err)
		}
		return true, nil
	}
	text, err := document.Marshal(next)
	if err != nil {
		return false, err
	}
	switch err := keyring.Set(s.service, s.user, string(text)); {
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return false, fmt.Errorf("the session is too long for this system's keyring (%d bytes): have the server give out shorter access tokens, or keep it in a file", len(text))
	case err != nil:
		return false, fmt.Errorf("keep the session in the keyring: %w", err)
	}
	return true, nil
}

// Lock waits until no other process, and no other caller in this one, refreshes the
// pair.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	unlock, _, err = filelock.Lock(ctx, s.locks+".lock")
	return unlock, err
}

func (s *Store) read() (tandem.Pair, error) {
	text, err := keyring.Get(s.service, s.user)
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return tandem.Pair{}, nil
	case err != nil:
		return tandem.Pair{}, fmt.Errorf("read the session from the keyring: %w", err)
	}
	pair, err := document.Parse([]byte(text))
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("the entry of %q for %q in the keyring %w", s.service, s.user, err)
	}
	return pair, nil
}
