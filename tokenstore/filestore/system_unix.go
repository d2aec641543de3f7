//go:build unix

package filestore

import (
	"io/fs"
	"syscall"
)

const nonBlocking = syscall.O_NONBLOCK

// ownerOf returns the ID of the user that owns a file, if the system reports it.
func ownerOf(info fs.FileInfo) (uid int, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int(stat.Uid), true
}
