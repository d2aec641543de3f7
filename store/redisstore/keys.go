package redisstore

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// LoadKeys returns the document in which the servers keep their keys, and its version;
// nil and 0 if no server has saved one.
func (s *Store) LoadKeys(ctx context.Context) (document []byte, version int64, _ error) {
	err := s.try(ctx, "load the keys", repeatable, func(bool) error {
		document, version = nil, 0
		hash, err := s.client.Do(ctx, s.client.B().Hgetall().Key(s.key("keys")).Build()).AsStrMap()
		if err != nil || len(hash) == 0 {
			return err
		}
		if version, err = strconv.ParseInt(hash["version"], 10, 64); err != nil {
			return damaged(err)
		}
		document = []byte(hash["document"])
		return nil
	})
	return document, version, err
}

// SaveKeys replaces the document if its version is still from, and reports whether it
// did.
func (s *Store) SaveKeys(ctx context.Context, document []byte, from int64) (saved bool, _ error) {
	err := s.runDurably(ctx, "save the keys", onceOnly, s.scripts.saveKeys, []string{s.key("keys")},
		[]string{string(document), strconv.FormatInt(from, 10), strconv.FormatInt(from+1, 10)},
		func(answer rueidis.RedisResult) (err error) {
			saved, err = answer.AsBool()
			return err
		})
	return saved, err
}
