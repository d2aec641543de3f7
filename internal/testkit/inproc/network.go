package inproc

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A Network connects a client and servers in the same process. Unlike a [Transport] it
// carries real HTTP, with connections that can be cut; unlike sockets, its connections
// do not stop the clock of a testing/synctest bubble.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// NewNetwork returns a network without listeners.
func NewNetwork() *Network { return &Network{hosts: map[string]*listener{}} }

// Listen returns a listener at an address such as "api.test:80".
func (n *Network) Listen(address string) net.Listener {
	l := &listener{incoming: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = l
	return l
}

// DialContext connects to a listener; it is for [net/http.Transport].
func (n *Network) DialContext(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	l, ok := n.hosts[address]
	n.mu.Unlock()
	if !ok {
		return nil, fmt.Errorf("nobody listens at %s", address)
	}
	near, far := net.Pipe()
	select {
	case l.incoming <- localConn{far}:
		return near, nil
	case <-l.closed:
		return nil, fmt.Errorf("nobody listens at %s any more", address)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.incoming:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *listener) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }

// localConn is a connection whose remote address is loopback, for servers that check
// it.
type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
