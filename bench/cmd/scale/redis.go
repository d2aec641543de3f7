package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/server"
	"github.com/tandem-auth/tandem/store"
	"github.com/tandem-auth/tandem/store/redisstore"
)

// A redisPlace is a Redis server. It has no bulk loader, so fill creates many sessions
// concurrently. Its size is that of its memory.
type redisPlace struct {
	engine *engines.Redis
	empty  int64
}

func newRedisPlace(ctx context.Context) (place, error) {
	e, err := engines.NewRedis("--appendonly", "yes", "--appendfsync", "everysec")
	if err != nil {
		return nil, err
	}
	p := &redisPlace{engine: e}
	if p.empty, _, err = p.size(ctx); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *redisPlace) close() error { return p.engine.Close() }

func (p *redisPlace) use(ctx context.Context, do func(server.Store) error) error {
	s, err := redisstore.Open(ctx, p.engine.URL())
	if err != nil {
		return err
	}
	return errors.Join(do(s), s.Close())
}

func (p *redisPlace) fill(ctx context.Context, all *population, size int) error {
	return p.use(ctx, func(s server.Store) error {
		for len(all.ids) < size {
			if err := createAll(ctx, s, all, min(batch, size-len(all.ids))); err != nil {
				return err
			}
			progress(len(all.ids), size)
		}
		return nil
	})
}

func createAll(ctx context.Context, s server.Store, all *population, n int) error {
	sessions := make(chan store.Session)
	errs := make([]error, 2*atOnce)
	var workers sync.WaitGroup
	for i := range errs {
		workers.Go(func() {
			for session := range sessions {
				errs[i] = errors.Join(errs[i], s.Create(ctx, session))
			}
		})
	}
	for range n {
		sessions <- all.next()
	}
	close(sessions)
	workers.Wait()
	return errors.Join(errs...)
}

func (p *redisPlace) size(ctx context.Context) (all int64, _ []part, err error) {
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{p.engine.Address()}, DisableCache: true})
	if err != nil {
		return 0, nil, err
	}
	defer client.Close()
	text, err := client.Do(ctx, client.B().Info().Section("memory").Build()).ToString()
	if err != nil {
		return 0, nil, err
	}
	_, rest, _ := strings.Cut(text, "used_memory:")
	if _, err := fmt.Sscan(rest, &all); err != nil {
		return 0, nil, fmt.Errorf("read Redis's memory: %w", err)
	}
	return all - p.empty, nil, nil
}
