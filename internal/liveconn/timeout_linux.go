package liveconn

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT, which package syscall lacks: for how many
// milliseconds sent data may stay unacknowledged (RFC 5482). The number is the same on all
// architectures.
const tcpUserTimeout = 0x12

func setUserTimeout(fd uintptr, limit time.Duration) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(limit.Milliseconds()))
}
