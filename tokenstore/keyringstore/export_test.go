package keyringstore

import (
	"context"
	"time"

	"github.com/tandem-auth/tandem/tokenstore/internal/filelock"
)

// OpenWithin is [Open] with other limits.
func OpenWithin(service, user string, answer, prompt time.Duration) (*Store, error) {
	return open(service, user, limits{answer: answer, prompt: prompt})
}

// ForgetWithin is [Forget] with other limits.
func ForgetWithin(service, user string, answer, prompt time.Duration) error {
	return forget(service, user, limits{answer: answer, prompt: prompt})
}

// HoldSwap keeps every process from changing the entry, as a swap under way does.
func (s *Store) HoldSwap(ctx context.Context) (release func(), err error) {
	release, _, err = filelock.Lock(ctx, s.locks+".swap")
	return release, err
}
