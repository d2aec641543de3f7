package daemon

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// systemdSocket is the value of Config.Listen for a socket that systemd has opened
// (sd_listen_fds(3)).
const systemdSocket = "systemd"

func listen(ctx context.Context, address, flag string) (net.Listener, error) {
	if address == systemdSocket {
		return listenOnSocket()
	}
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s is in use by another program; choose another address with %s, such as %[2]s localhost:8081", address, flag)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("not allowed to listen on %s: ports below 1024 need rights; choose another with %s", address, flag)
	case err != nil:
		return nil, fmt.Errorf("listen on %q (want HOST:PORT): %w", address, err)
	}
	return l, nil
}

func listenOnSocket() (net.Listener, error) {
	sockets, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("take the socket of systemd: %w", err)
	}
	if len(sockets) != 1 || sockets[0] == nil {
		return nil, fmt.Errorf("--listen systemd: systemd has passed %d sockets, want one: start the server by a .socket unit with one ListenStream", len(sockets))
	}
	if _, isTCP := sockets[0].Addr().(*net.TCPAddr); !isTCP {
		return nil, fmt.Errorf("--listen systemd: the socket is %s, want one of TCP: ListenStream=127.0.0.1:8080", sockets[0].Addr())
	}
	return sockets[0], nil
}
