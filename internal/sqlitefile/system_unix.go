//go:build unix

package sqlitefile

import (
	"errors"
	"io/fs"
	"syscall"
)

// nonBlocking is the flag to open a pipe without waiting for its other end.
const nonBlocking = syscall.O_NONBLOCK

func isReadOnly(err error) bool { return errors.Is(err, syscall.EROFS) }

// ownerOf returns the ID of the file's owner, or -1 if the system does not tell.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return -1
}
