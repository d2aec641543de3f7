package streamtest

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// A Proxy forwards TCP connections to a server, and can drop their state as a NAT
// router does.
type Proxy struct {
	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu    sync.Mutex
	links []*link
}

// A link is one connection through the proxy.
type link struct {
	client, server net.Conn
	silent         atomic.Bool
}

// StartProxy starts a proxy on loopback in front of a server's address. The proxy stops
// when the test ends.
func StartProxy(t *testing.T, target string) *Proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: target, listener: listener}
	p.running.Go(p.serve)
	t.Cleanup(p.stop)
	return p
}

// DialContext connects to the proxy, whatever the address is; it is for
// [net/http.Transport].
func (p *Proxy) DialContext(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, p.listener.Addr().String())
}

// Forget makes the proxy discard everything that the ends of the existing connections
// send from now on, including the closing of the connection. It still forwards later
// connections.
func (p *Proxy) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.silent.Store(true)
	}
}

func (p *Proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", p.target)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{client: client, server: server}
		p.mu.Lock()
		p.links = append(p.links, l)
		p.mu.Unlock()
		p.running.Go(func() { l.forward(client, server) })
		p.running.Go(func() { l.forward(server, client) })
	}
}

func (l *link) forward(from, to net.Conn) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if l.silent.Load() {
			if err != nil {
				return
			}
			continue
		}
		if _, failed := to.Write(buffer[:n]); err != nil || failed != nil {
			_ = to.Close()
			return
		}
	}
}

func (p *Proxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	for _, l := range p.links {
		_, _ = l.client.Close(), l.server.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
}
