//go:build unix

package engines

import (
	"os"
	"syscall"
)

// nobody is who servers run as that must not run as root.
const nobody = 65534

// ownGroup keeps an interrupt at the terminal from the servers: their owner stops
// them.
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
