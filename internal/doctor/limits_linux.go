package doctor

import (
	"os"
	"strconv"
	"strings"
	"syscall"
)

// openFiles returns how many files a process may open at once. A Go program raises the soft
// limit to the hard one at its start.
func openFiles() (uint64, bool) {
	var limit syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return limit.Max, err == nil
}

// memoryLimit returns the limit of the control group, if there is one.
func memoryLimit() (uint64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		limit, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
		return limit, err == nil && limit < 1<<60 // "max", or version 1's largest number
	}
	return 0, false
}

// freeSpace returns how many bytes a process may still write to the disk of a folder.
func freeSpace(folder string) (uint64, bool) {
	var stat syscall.Statfs_t
	err := syscall.Statfs(folder, &stat)
	return stat.Bavail * uint64(stat.Bsize), err == nil //nolint:gosec // a size is not negative
}
