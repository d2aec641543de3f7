package sqlitefile

import (
	"os"
	"syscall"
)

// readOnlyMount is ST_RDONLY of statfs(2).
const readOnlyMount = 1

// isOnReadOnly reports whether a file is on a read-only mount.
func isOnReadOnly(f *os.File) bool {
	var stat syscall.Statfs_t
	return syscall.Fstatfs(int(f.Fd()), &stat) == nil && stat.Flags&readOnlyMount != 0
}
