//go:build !unix

package engines

import "syscall"

const nobody = -1

func ownGroup() *syscall.SysProcAttr { return nil }

// There is no such thing here; what needs it fails.
var pauseSignal, resumeSignal = syscall.Signal(-1), syscall.Signal(-1)
