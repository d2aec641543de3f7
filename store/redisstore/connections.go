package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// giveUpEvery is the shortest interval at which the store closes connections, so that
// it does not dial for each call while the address leads to nothing but a replica.
const giveUpEvery = 250 * time.Millisecond

// connections tracks the client's open connections. After a failover, a connection may
// lead to a server that has become a replica and answers every write with an error; to
// the client library such a connection looks healthy. The zero value is empty.
type connections struct {
	mu      sync.Mutex
	open    map[*connection]struct{}
	givenUp time.Time // when giveUp last closed connections
}

// A connection removes itself from its connections when it is closed.
type connection struct {
	net.Conn

	of     *connections
	dialed time.Time
}

func (c *connection) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}

// track makes the client register each connection that it dials.
func (c *connections) track(option *rueidis.ClientOption) {
	dial := option.DialCtxFn
	if dial == nil {
		dial = dialTCP
	}
	option.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		dialed := time.Now()
		conn, err := dial(ctx, address, dialer, config)
		if err != nil {
			return nil, err
		}
		return c.add(&connection{Conn: conn, of: c, dialed: dialed}), nil
	}
}

func dialTCP(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
	if config == nil {
		return dialer.DialContext(ctx, "tcp", address)
	}
	return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
}

func (c *connections) add(one *connection) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.open == nil {
		c.open = map[*connection]struct{}{}
	}
	c.open[one] = struct{}{}
	return one
}

func (c *connections) remove(one *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.open, one)
}

// giveUp closes the connections that were dialed before the given time, unless it did
// so within giveUpEvery. Calls on them fail as on a lost connection, and the next call
// dials again and reaches the server that the name or the proxy leads to by then.
func (c *connections) giveUp(before time.Time) {
	for _, one := range c.takeOld(before) {
		_ = one.Close()
	}
}

func (c *connections) takeOld(before time.Time) (old []*connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.givenUp) < giveUpEvery {
		return nil
	}
	for one := range c.open {
		if one.dialed.Before(before) {
			old = append(old, one)
		}
	}
	if len(old) > 0 {
		c.givenUp = time.Now()
	}
	return old
}
