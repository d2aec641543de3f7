//go:build !unix

package engines

import "syscall"

const nobody = -1

func memoryFolder() string { return "" }

func ownGroup() *syscall.SysProcAttr { return nil }

// This system cannot pause a process; Pause and Resume fail.
var pauseSignal, resumeSignal = syscall.Signal(-1), syscall.Signal(-1)
