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

var (
	pauseSignal  = syscall.SIGSTOP
	resumeSignal = syscall.SIGCONT
)
