package liveconn_test

import (
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/liveconn"
)

// Over HTTP/1.1 there are no pings: the kernel finds out that a connection is dead.
func TestTheKernelGivesUpADeadConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	const silence = 15 * time.Second
	conn, err := liveconn.Transport(http.DefaultTransport, silence).(*http.Transport).DialContext(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	option := func(level, name int) (value int) {
		t.Helper()
		if err := raw.Control(func(fd uintptr) { value, err = syscall.GetsockoptInt(int(fd), level, name) }); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
	const tcpUserTimeout = 0x12
	if got, want := option(syscall.IPPROTO_TCP, tcpUserTimeout), int(silence.Milliseconds()); got != want {
		t.Errorf("what is sent may be unacknowledged for %d ms, want %d", got, want)
	}
	idle, interval := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE), option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)
	probes := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
	if on := option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE); on == 0 || idle+probes*interval != int(silence.Seconds()) {
		t.Errorf("keep-alive %d: %d s, then %d times %d s", on, idle, probes, interval)
	}
}
