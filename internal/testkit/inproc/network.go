package inproc

import (
	"context"
	"fmt"
	"net"
	"sync"
)

// A Network carries connections between a client and servers of the same process.
// Unlike a [Transport] it has all of HTTP on it, connections that are cut included;
// unlike sockets, its connections let time pass in a testing/synctest bubble.
type Network struct {
	mu    sync.Mutex
	hosts map[string]*listener
}

// NewNetwork returns a network on which nobody listens.
func NewNetwork() *Network { return &Network{hosts: map[string]*listener{}} }

// Listen returns a listener for an address such as "api.test:80".
func (n *Network) Listen(address string) net.Listener {
	l := &listener{incoming: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts[address] = l
	return l
}

// DialContext is for an [net/http.Transport].
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

// localConn is a connection from this machine, for those who ask where it is from.
type localConn struct{ net.Conn }

func (localConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
