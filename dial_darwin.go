package tandem

import (
	"syscall"
	"time"
)

// tcpDropTime is TCP_RXT_CONNDROPTIME, in seconds, which package syscall lacks: how long
// what was sent is sent again before the connection is given up.
const tcpDropTime = 0x80

func setUserTimeout(fd uintptr, limit time.Duration) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpDropTime, int(limit.Seconds()))
}
