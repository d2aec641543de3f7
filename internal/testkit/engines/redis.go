package engines

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/redis/rueidis"
)

// A Redis is a Redis server.
type Redis struct{ *Engine }

// NewRedis starts a server on an empty folder. Settings are options of its command
// line, such as "--appendonly", "yes".
func NewRedis(settings ...string) (*Redis, error) {
	engine, err := newEngine("", "redis-server", "Ready to accept connections", syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	e := &Redis{engine}
	e.args = append([]string{
		"--port", strconv.Itoa(e.Port), "--bind", "127.0.0.1", "--dir", e.data(), "--save", "",
		"--repl-diskless-sync-delay", "0", // do not wait for further replicas
	}, settings...)
	if err := e.Start(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// URL returns the server's URL.
func (e *Redis) URL() string { return fmt.Sprintf("redis://%s/0", e.Address()) }

// Do executes a command and returns its answer, if the answer is text.
func (e *Redis) Do(ctx context.Context, command ...string) (string, error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{e.Address()}, DisableCache: true, DisableRetry: true, ForceSingleClient: true,
	})
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer, err := client.Do(ctx, client.B().Arbitrary(command...).Build()).ToMessage()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", fmt.Errorf("%s: %w", strings.Join(command, " "), err)
	}
	text, _ := answer.ToString()
	return text, nil
}

// Follow makes the server a replica of another, and waits until it has replicated
// everything.
func (e *Redis) Follow(ctx context.Context, primary *Redis) error {
	if _, err := e.Do(ctx, "REPLICAOF", "127.0.0.1", strconv.Itoa(primary.Port)); err != nil {
		return err
	}
	return await(ctx, "the replica has all", func() bool { return e.replicates(ctx, primary) })
}

// isPrimary reports whether the server answers and is a primary.
func (e *Redis) isPrimary(ctx context.Context) bool {
	info, err := e.Do(ctx, "INFO", "replication")
	return err == nil && strings.Contains(info, "role:master")
}

// replicates reports whether a replica has everything that its primary has.
func (e *Redis) replicates(ctx context.Context, primary *Redis) bool {
	ours, err := e.Do(ctx, "INFO", "replication")
	if err != nil || !strings.Contains(ours, "master_link_status:up") {
		return false
	}
	theirs, err := primary.Do(ctx, "INFO", "replication")
	return err == nil && offset(ours, "slave_repl_offset") == offset(theirs, "master_repl_offset")
}

func offset(info, field string) string {
	_, after, _ := strings.Cut(info, field+":")
	value, _, _ := strings.Cut(after, "\r\n")
	return value
}

// await polls isSo until it returns true or the context ends.
func await(ctx context.Context, what string, isSo func() bool) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !isSo() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %s: %w", what, ctx.Err())
		}
	}
	return nil
}
