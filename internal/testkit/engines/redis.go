package engines

import (
	"errors"
	"fmt"
	"strconv"
	"syscall"
)

// A Redis is a Redis server.
type Redis struct{ *Engine }

// NewRedis starts a server on an empty folder. Settings are as on its command line,
// such as "--appendonly", "yes".
func NewRedis(settings ...string) (*Redis, error) {
	engine, err := newEngine("redis-server", "Ready to accept connections", syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	e := &Redis{engine}
	e.args = append([]string{
		"--port", strconv.Itoa(e.Port), "--bind", "127.0.0.1", "--dir", e.data(), "--save", "",
	}, settings...)
	if err := e.Start(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// URL returns the server's address.
func (e *Redis) URL() string { return fmt.Sprintf("redis://%s/0", e.Address()) }
