package sidecar

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT (RFC 5482), which package syscall does not have.
const tcpUserTimeout = 0x12

// boundSilence has the kernel close a connection on which what was sent is not
// acknowledged.
func boundSilence(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(maxSilence.Milliseconds()))
	})
}
