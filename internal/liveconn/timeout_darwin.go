package liveconn

import (
	"syscall"
	"time"
)

// tcpDropTime is TCP_RXT_CONNDROPTIME, which package syscall lacks: for how many seconds
// the kernel retransmits before it drops the connection.
const tcpDropTime = 0x80

func setUserTimeout(fd uintptr, limit time.Duration) {
	_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpDropTime, int(limit.Seconds()))
}
