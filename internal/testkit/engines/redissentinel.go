package engines

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// A RedisSentinel is a primary with a replica, and three Sentinels that monitor them;
// two Sentinels can decide on a failover.
type RedisSentinel struct {
	Primary, Replica *Redis
	Sentinels        []*Redis
}

// sentinelSet is the name under which the Sentinels monitor the primary.
const sentinelSet = "tandem"

// NewRedisSentinel starts all servers. Settings apply to the primary and the replica.
func NewRedisSentinel(settings ...string) (_ *RedisSentinel, err error) {
	s := &RedisSentinel{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.Primary, err = NewRedis(settings...); err != nil {
		return nil, err
	}
	follows := append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(s.Primary.Port)}, settings...)
	if s.Replica, err = NewRedis(follows...); err != nil {
		return nil, err
	}
	for range 3 {
		sentinel, err := newSentinel(s.Primary)
		if err != nil {
			return nil, err
		}
		s.Sentinels = append(s.Sentinels, sentinel)
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return s, errors.Join(s.AwaitReady(ctx), s.AwaitReplica(ctx))
}

func newSentinel(primary *Redis) (*Redis, error) {
	engine, err := newEngine("", "redis-server", "+monitor master", syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(engine.data(), "sentinel.conf") // the Sentinel writes its state to this file
	engine.args = []string{file, "--sentinel"}
	err = os.WriteFile(file, fmt.Appendf(nil, `port %d
bind 127.0.0.1
dir %s
sentinel monitor %[3]s 127.0.0.1 %[4]d 2
sentinel down-after-milliseconds %[3]s 1000
sentinel failover-timeout %[3]s 10000
`, engine.Port, engine.data(), sentinelSet, primary.Port), 0o600)
	if err := errors.Join(err, engine.own(file)); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	if err := engine.Start(); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &Redis{engine}, nil
}

// AwaitReady waits until the Sentinels know each other, the primary, and a replica that
// can take over.
func (s *RedisSentinel) AwaitReady(ctx context.Context) error {
	want := fmt.Sprintf("status=ok,address=%s,slaves=1,sentinels=3", s.Primary.Address())
	return await(ctx, "the Sentinels are ready", func() bool {
		for _, sentinel := range s.Sentinels {
			info, err := sentinel.Do(ctx, "INFO", "sentinel")
			if err != nil || !strings.Contains(info, want) {
				return false
			}
		}
		return true
	})
}

// AwaitReplica waits until the replica has everything that the primary has. It makes a
// former primary follow at once, which the Sentinels would do only within half a
// minute.
func (s *RedisSentinel) AwaitReplica(ctx context.Context) error {
	return s.Replica.Follow(ctx, s.Primary)
}

// FailOver makes the Sentinels promote the replica, with an orderly failover.
func (s *RedisSentinel) FailOver(ctx context.Context) error {
	err := await(ctx, "the Sentinels begin a failover", func() bool {
		_, err := s.Sentinels[0].Do(ctx, "SENTINEL", "FAILOVER", sentinelSet)
		return err == nil
	})
	if err != nil {
		return err
	}
	return await(ctx, "it is the primary", func() bool { return s.Replica.isPrimary(ctx) })
}

// URL returns a URL with the Sentinels' addresses and the name of the primary.
func (s *RedisSentinel) URL() string { return manyAddresses(s.Sentinels) + "master_set=" + sentinelSet }

// Close stops all servers. It may be called twice.
func (s *RedisSentinel) Close() error {
	var errs []error
	for _, server := range slices.Concat(s.Sentinels, []*Redis{s.Replica, s.Primary}) {
		if server != nil {
			errs = append(errs, server.Close())
		}
	}
	return errors.Join(errs...)
}
