package engines

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
)

// A Relay simulates a name or an address that moves from one server to another in a
// failover: it forwards new connections to its current target, and leaves existing
// connections where they are. Its methods are safe for concurrent use.
type Relay struct {
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	target string
	open   map[net.Conn]struct{}
	closed bool
}

// NewRelay returns a relay to a target, which is a host with a port.
func NewRelay(target string) (*Relay, error) {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Relay{listener: listener, target: target, open: map[net.Conn]struct{}{}}
	r.running.Go(r.accept)
	return r, nil
}

// Address returns the relay's host and port.
func (r *Relay) Address() string { return r.listener.Addr().String() }

// MoveTo makes the relay forward new connections to another target.
func (r *Relay) MoveTo(target string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.target = target
}

// Close cuts all connections. It may be called twice.
func (r *Relay) Close() error {
	err := r.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	r.mu.Lock()
	r.closed = true
	open := r.open
	r.open = map[net.Conn]struct{}{}
	r.mu.Unlock()
	for conn := range open {
		_ = conn.Close()
	}
	r.running.Wait()
	return err
}

func (r *Relay) accept() {
	for {
		from, err := r.listener.Accept()
		if err != nil {
			return
		}
		r.running.Go(func() { r.serve(from) })
	}
}

func (r *Relay) serve(from net.Conn) {
	r.mu.Lock()
	target := r.target
	r.mu.Unlock()
	to, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", target)
	if err != nil {
		_ = from.Close()
		return
	}
	r.mu.Lock()
	closed := r.closed
	if !closed {
		r.open[from], r.open[to] = struct{}{}, struct{}{}
	}
	r.mu.Unlock()
	cut := func() { _, _ = from.Close(), to.Close() }
	if closed {
		cut()
		return
	}
	var both sync.WaitGroup
	for _, way := range [][2]net.Conn{{from, to}, {to, from}} {
		both.Go(func() {
			_, _ = io.Copy(way[1], way[0])
			cut()
		})
	}
	both.Wait()
	r.mu.Lock()
	delete(r.open, from)
	delete(r.open, to)
	r.mu.Unlock()
}
