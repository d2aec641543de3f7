// Package filelock is the lock of a file that processes share. The system gives it
// free when a process ends, however it ends.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/gofrs/flock"
)

// retry is how often a lock that somebody else has is asked for again.
const retry = 10 * time.Millisecond

// Lock waits until it has the lock on the file at path, which is made and never
// deleted: deleting it would let two processes each lock a file of that name. Others
// in this process are kept out, too. Where the file system has no locks, it waits for
// nobody, and says that the lock is not held.
func Lock(ctx context.Context, path string) (unlock func(), held bool, err error) {
	// Each call has an open file of its own: that is what excludes others in this
	// process.
	lock := flock.New(path, flock.SetPermissions(0o600))
	_, err = lock.TryLockContext(ctx, retry)
	switch {
	case err == nil:
		return sync.OnceFunc(func() { _ = lock.Close() }), true, nil
	case ctx.Err() != nil:
		return nil, false, errors.Join(ctx.Err(), lock.Close())
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, syscall.ENOLCK):
		return func() {}, false, lock.Close()
	}
	return nil, false, fmt.Errorf("lock %s: %w", path, errors.Join(err, lock.Close()))
}
