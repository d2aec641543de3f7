//go:build !linux

package sidecar

import "syscall"

// boundSilence does nothing: the system's default limit applies.
func boundSilence(_, _ string, _ syscall.RawConn) error { return nil }
