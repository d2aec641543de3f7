//go:build unix

package engines

import (
	"os"
	"syscall"
)

// nobody is the user ID for servers that refuse to run as root.
const nobody = 65534

// ownGroup puts a server into a process group of its own, so that an interrupt at the
// terminal does not reach it: the test stops it.
func ownGroup() *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if os.Getuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	return attr
}

// roomForEngine is what the files of a server may need in tests, in bytes. (Containers
// often have 64 MB in memory.)
const roomForEngine = 4 << 30

// memoryFolder returns a folder in memory, or "" if there is none with enough room.
func memoryFolder() string {
	const folder = "/dev/shm"
	var stat syscall.Statfs_t
	if err := syscall.Statfs(folder, &stat); err != nil || stat.Bavail*uint64(stat.Bsize) < roomForEngine { //nolint:unconvert,gosec // the types differ between systems
		return ""
	}
	return folder
}

var (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)
