//go:build unix

package sqlitestore

import (
	"errors"
	"io/fs"
	"path/filepath"
	"syscall"
)

const writable = 2 // W_OK of access(2)

// mayWrite reports whether the process's user may write the database, its folder and
// the files beside it. It opens none of them; Open explains why.
func mayWrite(path string) bool {
	for _, name := range []string{filepath.Dir(path), path, path + "-wal", path + "-shm"} {
		if err := syscall.Access(name, writable); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false
		}
	}
	return true
}
