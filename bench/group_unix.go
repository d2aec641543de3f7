//go:build unix

package bench

import "syscall"

// ownGroup puts a server into a process group of its own, so that an interrupt at the
// terminal does not reach it: bench stops the servers in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
