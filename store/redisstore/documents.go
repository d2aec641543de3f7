package redisstore

import (
	"context"
	"strconv"

	"github.com/redis/rueidis"
)

// The names of documents: hashes that are replaced as a whole.
const (
	keysDocument    = "keys"
	clientsDocument = "clients"
)

// LoadKeys returns the document in which the servers keep their keys, and its version;
// nil and 0 if no server has saved one.
func (s *Store) LoadKeys(ctx context.Context) (text []byte, version int64, _ error) {
	return s.load(ctx, keysDocument)
}

// SaveKeys replaces the document if its version is still from, and reports whether it
// did.
func (s *Store) SaveKeys(ctx context.Context, text []byte, from int64) (bool, error) {
	return s.save(ctx, keysDocument, text, from)
}

// LoadClients is LoadKeys for the registry of clients.
func (s *Store) LoadClients(ctx context.Context) (text []byte, version int64, _ error) {
	return s.load(ctx, clientsDocument)
}

// SaveClients is SaveKeys for the registry of clients.
func (s *Store) SaveClients(ctx context.Context, text []byte, from int64) (bool, error) {
	return s.save(ctx, clientsDocument, text, from)
}

func (s *Store) load(ctx context.Context, name string) (text []byte, version int64, _ error) {
	err := s.try(ctx, "load the "+name, repeatable, func(bool) error {
		text, version = nil, 0
		hash, err := s.client.Do(ctx, s.client.B().Hgetall().Key(s.key(name)).Build()).AsStrMap()
		if err != nil || len(hash) == 0 {
			return err
		}
		if version, err = strconv.ParseInt(hash["version"], 10, 64); err != nil {
			return damaged(err)
		}
		text = []byte(hash["document"])
		return nil
	})
	return text, version, err
}

func (s *Store) save(ctx context.Context, name string, text []byte, from int64) (saved bool, _ error) {
	err := s.runDurably(ctx, "save the "+name, onceOnly, s.scripts.saveDocument, []string{s.key(name)},
		[]string{string(text), strconv.FormatInt(from, 10), strconv.FormatInt(from+1, 10)},
		func(answer rueidis.RedisResult) (err error) {
			saved, err = answer.AsBool()
			return err
		})
	return saved, err
}
