package redisstore

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// giveUpEvery bounds how often connections are given up: a replica that is all there
// is behind an address is not dialed again for each call.
const giveUpEvery = 250 * time.Millisecond

// connections are those to the servers. After a failover they may lead to a server
// that is a replica now and answers as one for ever; the client that uses them sees
// nothing wrong with them. The zero value has none.
type connections struct {
	mu      sync.Mutex
	open    map[*connection]struct{}
	givenUp time.Time // when that was done last
}

// A connection is among its connections until it is closed.
type connection struct {
	net.Conn

	of     *connections
	dialed time.Time
}

func (c *connection) Close() error {
	c.of.remove(c)
	return c.Conn.Close()
}

// track has the connections of an option among them.
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

// giveUp closes the connections that were there before the given time, unless that
// was done a moment ago. Those who use them find that they were lost, and the next
// call dials anew: where the name or the proxy leads by then.
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
