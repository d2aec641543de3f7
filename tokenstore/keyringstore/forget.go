package keyringstore

import (
	"context"
	"errors"

	"github.com/tandem-auth/tandem/tokenstore/internal/document"
)

// ErrNewer is wrapped by the error for an entry that a later version has written. The
// session in it may be valid; only that version can tell.
var ErrNewer = document.ErrNewer

// Unusable reports whether an error of [Open] means that the entry stays unusable until
// a person or a program acts: it is damaged, contains no session, or was written by a
// later version. A program may offer to [Forget] it and to sign in again.
func Unusable(err error) bool {
	return errors.Is(err, document.ErrDamaged) || errors.Is(err, document.ErrNone) || errors.Is(err, document.ErrNewer)
}

// Forget removes the entry of a service for a user, whatever it contains. Use it when
// [Unusable] returns true. It waits for a swap that is under way, in any process. If there
// is no entry, it returns nil. It does not tell the server. The error wraps [ErrUnavailable], [ErrLocked] or [ErrNotAnswering].
func Forget(service, user string) error {
	return forget(service, user, usualLimits)
}

func forget(service, user string, limits limits) error {
	s, err := newStore(service, user, limits)
	if err != nil {
		return err
	}
	_, err = s.change(context.Background(), func(ctx context.Context) (bool, error) {
		return true, s.remove(ctx, ErrUnavailable)
	})
	return err
}
