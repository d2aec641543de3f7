//go:build unix

package soak

import "syscall"

// giveWay lets all other processes go before a process.
func giveWay(pid int) { _ = syscall.Setpriority(syscall.PRIO_PROCESS, pid, 19) }
