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
// session in it may be valid; only that version can tell.
var ErrNewer = document.ErrNewer

// Unusable reports whether an error of [Open] means that the entry stays unusable until
// a person or a program acts: it is damaged, contains no session, or was written by a
// later version. A program may offer to [Forget] it and to sign in again.
func Unusable(err error) bool {
	return errors.Is(err, document.ErrDamaged) || errors.Is(err, document.ErrNone) || errors.Is(err, document.ErrNewer)
}

// Forget removes the entry of a service for a user, whatever it contains. Use it when
// [Unusable] returns true. If there is no entry, it returns nil. It does not tell the
// server. The error wraps [ErrUnavailable], [ErrLocked] or [ErrNotAnswering].
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
