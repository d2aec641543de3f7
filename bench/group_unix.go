//go:build unix

package bench

import "syscall"

// ownGroup keeps an interrupt at the terminal from the servers, which are stopped
// in order.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
