// Package filelock implements a lock on a file, shared by processes. The system
// releases the lock when a process ends, even if it is killed.
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

// retry is how long Lock waits between two attempts to get a lock that is held
// elsewhere.
const retry = 10 * time.Millisecond

// Lock waits until it has the lock on the file at path, which also excludes other
// callers in this process. It creates the file and never deletes it: if it did, two
// processes could each lock a different file of that name. On a file system without
// locks it does not wait, and held is false.
func Lock(ctx context.Context, path string) (unlock func(), held bool, err error) {
	// Each call opens the file itself, which is what excludes other callers in this
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
