package inproc

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
)

// A Network carries real connections between clients and a server of the same process,
// for what [Transport] has no part of: streams, upgrades, connections that are cut.
type Network struct {
	mu    sync.Mutex
	calls chan net.Conn // nil while there is no server
	down  chan struct{}
}

// errRefused is what a dial meets with when there is no server.
var errRefused = errors.New("connection refused")

// Listen returns a listener of which there is one at a time, until it is closed.
func (n *Network) Listen() net.Listener {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls, n.down = make(chan net.Conn), make(chan struct{})
	return &listener{network: n, calls: n.calls, down: n.down}
}

// Dial connects to the server, whatever the address.
func (n *Network) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	n.mu.Lock()
	calls, down := n.calls, n.down
	n.mu.Unlock()
	if calls == nil {
		return nil, errRefused
	}
	here, there := net.Pipe()
	select {
	case calls <- there:
		return here, nil
	case <-down:
		return nil, errRefused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Transport returns an HTTP transport for the network.
func (n *Network) Transport() *http.Transport { return &http.Transport{DialContext: n.Dial} }

type listener struct {
	network *Network
	calls   chan net.Conn
	down    chan struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.calls:
		return conn, nil
	case <-l.down:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.network.mu.Lock()
	defer l.network.mu.Unlock()
	if l.network.down == l.down && l.network.calls != nil {
		close(l.down)
		l.network.calls = nil
	}
	return nil
}

func (l *listener) Addr() net.Addr { return &net.UnixAddr{Net: "pipe", Name: "inproc"} }
