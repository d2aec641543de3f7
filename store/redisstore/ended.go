package redisstore

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/store"
)

// The sorted set of ended sessions has their IDs by the time of their end. The store adds a
// session before it ends it, in a command of its own, since the two keys may be on different
// servers of a Cluster: what the set has may not have ended (yet), and Ended looks.
const endedKey = "ended"

// willEnd adds sessions to the set of ended ones.
func (s *Store) willEnd(ctx context.Context, doing string, at time.Time, ids ...string) error {
	return s.try(ctx, doing, repeatable, func(bool) error {
		command := s.client.B().Zadd().Key(s.key(endedKey)).ScoreMember()
		for _, id := range ids {
			command = command.ScoreMember(float64(at.UnixMilli()), id)
		}
		return s.client.Do(ctx, command.Build()).Error()
	})
}

// Ended returns the sessions that something has ended at or after a time.
func (s *Store) Ended(ctx context.Context, since time.Time) ([]store.Session, error) {
	const doing = "list ended sessions"
	var listed []rueidis.ZScore
	err := s.try(ctx, doing, repeatable, func(bool) (err error) {
		listed, err = s.client.Do(ctx, s.client.B().Zrange().Key(s.key(endedKey)).
			Min(strconv.FormatInt(since.UnixMilli(), 10)).Max("+inf").Byscore().Withscores().Build()).AsZScores()
		return err
	})
	if err != nil {
		return nil, err
	}
	var found []store.Session
	for some := range slices.Chunk(listed, atOnce) {
		sessions, err := s.getAll(ctx, doing, some)
		if err != nil {
			return nil, err
		}
		for _, session := range sessions {
			if session != nil && !session.EndedAt.IsZero() && !session.EndedAt.Before(since) {
				found = append(found, *session)
			}
		}
	}
	return found, nil
}

// forgetEnded takes sessions off the set that ended before a time.
func (s *Store) forgetEnded(ctx context.Context, before time.Time) error {
	return s.try(ctx, "sweep", repeatable, func(bool) error {
		return s.client.Do(ctx, s.client.B().Zremrangebyscore().Key(s.key(endedKey)).
			Min("-inf").Max("("+strconv.FormatInt(before.UnixMilli(), 10)).Build()).Error()
	})
}
