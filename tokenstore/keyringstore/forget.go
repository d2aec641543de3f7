package keyringstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zalando/go-keyring"

	"github.com/tandem-auth/tandem/tokenstore/internal/document"
)

// ErrNewer is wrapped by the error for an entry that a later version has written. The
// session in it may be good: only that version can tell.
var ErrNewer = document.ErrNewer

// Unusable reports whether an error of [Open] is of an entry that stays useless until
// somebody does something: it is damaged, no session at all, or of a later version. A
// program may offer to [Forget] it and to sign in anew.
func Unusable(err error) bool {
	return errors.Is(err, document.ErrDamaged) || errors.Is(err, document.ErrNone) || errors.Is(err, document.ErrNewer)
}

// Forget removes the entry of a service for a user, whatever is in it: the way out where
// [Unusable] says so. Without an entry, it returns nil. The server is
// not told. The error wraps [ErrUnavailable], [ErrLocked] or [ErrNotAnswering].
func Forget(service, user string) error {
	s := &Store{service: service, user: user, limits: limits{answer: 5 * time.Second, prompt: 2 * time.Minute}}
	ctx, stop := s.bound(context.Background())
	defer stop()
	_, err := within(ctx, func() (struct{}, error) {
		err := guarded(func() error { return keyring.Delete(service, user) })
		if err == nil || errors.Is(err, keyring.ErrNotFound) {
			return struct{}{}, nil
		}
		return struct{}{}, fmt.Errorf("remove the session from the keyring: %w", s.explain(ctx, err, ErrUnavailable))
	})
	return err
}
