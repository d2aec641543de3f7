// Package keyringstore keeps a session's pair in the keyring of the operating system:
// the Keychain of macOS, the Credential Manager of Windows, and on Linux the program
// that provides the Secret Service (GNOME Keyring, KWallet, KeePassXC). One process or
// many may use an entry: all of them use the tokens that one of them has refreshed.
//
// Where there is no keyring, such as on a server, in a container or over SSH, [Open]
// returns [ErrUnavailable]. Use package filestore there, which keeps the pair in a file
// that only its owner may read. The store does not fall back to a file by itself,
// because a file protects the tokens less.
//
// A keyring may ask its owner for a password. Every call waits at most two minutes for
// that, and then returns [ErrLocked]. If the keyring does not answer at all, a call
// returns [ErrNotAnswering] within ten seconds: on Linux the store asks the keyring
// every five seconds of a call whether it is still there, and waits five seconds for
// the answer. On other systems the store cannot tell the two cases apart, so the two
// minutes apply. A context that ends earlier ends the call. The keyring does not notice
// that: its part of the call stays in a goroutine until the keyring answers or goes
// away, and a swap may still take effect. A store has at most eight such goroutines
// that read, and one that swaps.
//
// Some keyrings limit the size of an entry: to 2,560 bytes on Windows, and to about
// 2,900 on macOS. The pair of a Tandem server takes about 1,000; for a longer pair than
// the limit the error says so.
//
// Keyrings have neither locks nor a compare-and-swap, so the store uses two lock files
// in the user's cache folder. They contain no secret.
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

// Errors of [Open] and of every method, wrapped together with the system's error.
var (
	// ErrUnavailable is returned if there is no keyring.
	ErrUnavailable = errors.New("there is no keyring to be had; keep the session in a file instead")
	// ErrLocked is returned if the keyring is locked and nobody unlocked it: the owner
	// closed the prompt, did not answer it, or has no screen on which it could appear.
	ErrLocked = errors.New("the keyring is locked: unlock it and try again, or keep the session in a file")
	// ErrNotAnswering is returned if there is a keyring that does not answer. Trying
	// again may help.
	ErrNotAnswering = errors.New("the keyring does not answer: restart it, or keep the session in a file")
)

// mostReads is how many reads a store runs at the same time.
const mostReads = 8

// A Store keeps a pair in an entry of the keyring. It is a [tandem.Store] and a
// [tandem.Locker], and safe for concurrent use, also by several processes.
type Store struct {
	service, user string
	locks         string        // the path of the lock files, without their suffixes
	reads         chan struct{} // holds a value for each running read
	limits        limits
}

// Open returns the store for the entry of a service, such as the name of your program,
// and a user, such as the address of the server. The entry need not exist yet. The
// error wraps [ErrUnavailable], [ErrLocked] or [ErrNotAnswering], or says what is wrong
// with the entry.
func Open(service, user string) (*Store, error) {
	return open(service, user, usualLimits)
}

func open(service, user string, limits limits) (*Store, error) {
	s, err := newStore(service, user, limits)
	if err != nil {
		return nil, err
	}
	if _, err := s.load(context.Background(), ErrUnavailable); err != nil {
		return nil, err
	}
	return s, nil
}

// newStore returns a store without asking the keyring anything.
func newStore(service, user string, limits limits) (*Store, error) {
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
	return &Store{
		service: service, user: user, locks: filepath.Join(folder, hex.EncodeToString(sum[:12])),
		reads: make(chan struct{}, mostReads), limits: limits,
	}, nil
}

// Load returns the pair in the keyring, or the zero Pair if there is none.
func (s *Store) Load(ctx context.Context) (tandem.Pair, error) { return s.load(ctx, nil) }

// load is Load. If the state of the keyring does not explain an error, load uses
// otherwise as the reason.
func (s *Store) load(ctx context.Context, otherwise error) (tandem.Pair, error) {
	ctx, stop := s.bound(ctx)
	defer stop()
	select {
	case s.reads <- struct{}{}:
	case <-ctx.Done():
		return tandem.Pair{}, context.Cause(ctx)
	}
	return within(ctx, func() (tandem.Pair, error) {
		defer func() { <-s.reads }()
		if ctx.Err() != nil {
			return tandem.Pair{}, context.Cause(ctx)
		}
		return s.read(ctx, otherwise)
	})
}

// CompareAndSwap replaces the entry if it holds prev, and removes the entry if next is
// the zero Pair. If the call ends while the keyring is working on it, the swap may
// still take effect; no other swap begins before that is decided.
func (s *Store) CompareAndSwap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	return s.change(ctx, func(ctx context.Context) (bool, error) { return s.swap(ctx, prev, next) })
}

// change calls do, within the limits, when no other call in any process changes the entry.
func (s *Store) change(ctx context.Context, do func(context.Context) (bool, error)) (bool, error) {
	ctx, stop := s.bound(ctx)
	defer stop()
	unlock, _, err := filelock.Lock(ctx, s.locks+".swap")
	if ctx.Err() != nil && err != nil {
		return false, context.Cause(ctx)
	}
	if err != nil {
		return false, err
	}
	return within(ctx, func() (bool, error) {
		defer unlock()
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		return do(ctx)
	})
}

// swap is CompareAndSwap with the lock held.
func (s *Store) swap(ctx context.Context, prev, next tandem.Pair) (bool, error) {
	kept, err := s.read(ctx, nil)
	if err != nil || kept.RefreshToken != prev.RefreshToken {
		return false, err
	}
	if next.IsZero() {
		err := s.remove(ctx, nil)
		return err == nil, err
	}
	text, err := document.Marshal(next)
	if err != nil {
		return false, err
	}
	err = guarded(func() error { return keyring.Set(s.service, s.user, string(text)) })
	switch {
	case errors.Is(err, keyring.ErrSetDataTooBig):
		return false, fmt.Errorf("the session is too long for this system's keyring (%d bytes): make the server issue shorter access tokens, or keep the session in a file", len(text))
	case err != nil:
		return false, fmt.Errorf("keep the session in the keyring: %w", s.explain(ctx, err, nil))
	}
	return true, nil
}

// remove removes the entry, with the lock held. If the state of the keyring does not
// explain an error, remove uses otherwise as the reason.
func (s *Store) remove(ctx context.Context, otherwise error) error {
	err := guarded(func() error { return keyring.Delete(s.service, s.user) })
	if err == nil || errors.Is(err, keyring.ErrNotFound) {
		return nil
	}
	return fmt.Errorf("remove the session from the keyring: %w", s.explain(ctx, err, otherwise))
}

// Lock waits until no other process, and no other caller in this process, refreshes the
// pair.
func (s *Store) Lock(ctx context.Context) (unlock func(), err error) {
	unlock, _, err = filelock.Lock(ctx, s.locks+".lock")
	return unlock, err
}

func (s *Store) read(ctx context.Context, otherwise error) (tandem.Pair, error) {
	var text string
	err := guarded(func() (err error) {
		text, err = keyring.Get(s.service, s.user)
		return err
	})
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return tandem.Pair{}, nil
	case err != nil && otherwise != nil:
		return tandem.Pair{}, s.explain(ctx, err, otherwise)
	case err != nil:
		return tandem.Pair{}, fmt.Errorf("read the session from the keyring: %w", s.explain(ctx, err, nil))
	}
	pair, err := document.Parse([]byte(text))
	if err != nil {
		return tandem.Pair{}, fmt.Errorf("the entry of %q for %q in the keyring %w", s.service, s.user, err)
	}
	return pair, nil
}
