package engines

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A RedisCluster is a Redis Cluster of three primaries, each with a replica.
type RedisCluster struct{ Primaries, Replicas []*Redis }

const (
	clusterPrimaries = 3
	clusterSlots     = 16384
	// clusterTimeout is how many milliseconds a primary may be silent before the
	// Cluster fails over.
	clusterTimeout = "2000"
	// readyTimeout bounds how long several servers may take to find each other.
	readyTimeout = 30 * time.Second
)

// NewRedisCluster starts a Cluster. Settings apply to each server.
func NewRedisCluster(settings ...string) (_ *RedisCluster, err error) {
	c := &RedisCluster{}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	ports := map[*Redis]int{} // the ports of the Cluster bus
	for i := range 2 * clusterPrimaries {
		port, err := freePort()
		if err != nil {
			return nil, err
		}
		node, err := NewRedis(append([]string{
			"--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(port), "--cluster-node-timeout", clusterTimeout,
		}, settings...)...)
		if err != nil {
			return nil, err
		}
		ports[node] = port
		if i < clusterPrimaries {
			c.Primaries = append(c.Primaries, node)
		} else {
			c.Replicas = append(c.Replicas, node)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyTimeout)
	defer cancel()
	return c, c.join(ctx, ports)
}

// join makes the nodes form a Cluster.
func (c *RedisCluster) join(ctx context.Context, ports map[*Redis]int) error {
	var ids []string
	for i, primary := range c.Primaries {
		first, last := i*clusterSlots/clusterPrimaries, (i+1)*clusterSlots/clusterPrimaries-1
		id, err := primary.Do(ctx, "CLUSTER", "MYID")
		if err != nil {
			return err
		}
		ids = append(ids, id)
		if _, err := primary.Do(ctx, "CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last)); err != nil {
			return err
		}
		if _, err := primary.Do(ctx, "CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1)); err != nil {
			return err
		}
	}
	for _, node := range c.nodes()[1:] {
		if _, err := c.Primaries[0].Do(ctx, "CLUSTER", "MEET", "127.0.0.1", strconv.Itoa(node.Port), strconv.Itoa(ports[node])); err != nil {
			return err
		}
	}
	for i, replica := range c.Replicas {
		err := await(ctx, "a replica knows its primary", func() bool {
			_, err := replica.Do(ctx, "CLUSTER", "REPLICATE", ids[i])
			return err == nil
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(c.AwaitReady(ctx), c.AwaitReplicas(ctx))
}

func (c *RedisCluster) nodes() []*Redis { return slices.Concat(c.Primaries, c.Replicas) }

// AwaitReady waits until every node reports that the Cluster is complete and knows all
// primaries and replicas.
func (c *RedisCluster) AwaitReady(ctx context.Context) error {
	return await(ctx, "the Cluster is whole", func() bool {
		for _, node := range c.nodes() {
			info, err := node.Do(ctx, "CLUSTER", "INFO")
			if err != nil || !strings.Contains(info, "cluster_state:ok") {
				return false
			}
			nodes, err := node.Do(ctx, "CLUSTER", "NODES")
			if err != nil || !isWhole(nodes) {
				return false
			}
		}
		return true
	})
}

// isWhole parses the answer of CLUSTER NODES: one line per node, with the node's flags
// in the third field.
func isWhole(nodes string) bool {
	var primaries, replicas int
	for line := range strings.Lines(nodes) {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return false
		}
		switch flags := strings.TrimPrefix(fields[2], "myself,"); flags {
		case "master":
			primaries++
		case "slave":
			replicas++
		}
	}
	return primaries == clusterPrimaries && replicas == clusterPrimaries
}

// FailBack makes the server that was the first primary a primary again, with an orderly
// failover.
func (c *RedisCluster) FailBack(ctx context.Context) error {
	first := c.Primaries[0]
	err := await(ctx, "it has all", func() bool { return first.replicates(ctx, c.Replicas[0]) })
	if err != nil {
		return err
	}
	for ctx.Err() == nil {
		if _, err := first.Do(ctx, "CLUSTER", "FAILOVER"); err != nil {
			return err
		}
		// The nodes give up a manual failover after 5 seconds.
		attempt, cancel := context.WithTimeout(ctx, 6*time.Second)
		err := await(attempt, "it is a primary again", func() bool { return first.isPrimary(attempt) })
		cancel()
		if err == nil {
			return nil
		}
	}
	return ctx.Err()
}

// AwaitReplicas waits until each replica has everything that its primary has.
func (c *RedisCluster) AwaitReplicas(ctx context.Context) error {
	for i, replica := range c.Replicas {
		if err := await(ctx, "a replica has all", func() bool { return replica.replicates(ctx, c.Primaries[i]) }); err != nil {
			return err
		}
	}
	return nil
}

// URL returns a URL with the addresses of all nodes.
func (c *RedisCluster) URL() string { return manyAddresses(c.nodes()) + "prefix=tandem:" }

// manyAddresses returns a URL with the addresses of all servers, to which the caller
// can append parameters.
func manyAddresses(servers []*Redis) string {
	var url strings.Builder
	fmt.Fprintf(&url, "redis://%s/0?", servers[0].Address())
	for _, server := range servers[1:] {
		fmt.Fprintf(&url, "addr=%s&", net.JoinHostPort("127.0.0.1", strconv.Itoa(server.Port)))
	}
	return url.String()
}

// Close stops all nodes. It may be called twice.
func (c *RedisCluster) Close() error {
	var errs []error
	for _, node := range c.nodes() {
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}
