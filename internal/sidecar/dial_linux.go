package sidecar

import "syscall"

// tcpUserTimeout is TCP_USER_TIMEOUT (RFC 5482), which package syscall does not define.
const tcpUserTimeout = 0x12

// boundSilence makes the kernel close a connection when the other end has not
// acknowledged sent data for maxSilence.
func boundSilence(_, _ string, conn syscall.RawConn) error {
	return conn.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(maxSilence.Milliseconds()))
	})
}
