package tandem

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, in milliseconds, which package syscall lacks: how
// long what was sent may stay without an acknowledgement (RFC 5482). It has the same
// number on all architectures.
const tcpUserTimeout = 0x12

func setUserTimeout(fd uintptr, limit time.Duration) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
}
