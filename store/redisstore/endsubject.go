package redisstore

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/store"
)

// errEndsLost reports that sessions which the store had ended live again.
var errEndsLost = errors.New("some ends of sessions were lost: has a replica taken over? Try again")

// endSome ends sessions concurrently. It returns how many of them it ended, the IDs of
// those that are over now, and one of the errors.
func (s *Store) endSome(some []rueidis.ZScore, endOne func(id string) (end, error)) (ended int, over []string, err error) {
	ends, errs := make([]end, len(some)), make([]error, len(some))
	var all sync.WaitGroup
	for i, one := range some {
		all.Go(func() { ends[i], errs[i] = endOne(one.Member) })
	}
	all.Wait()
	for i := range ends {
		if ends[i].ended {
			ended++
		}
		if ends[i].subject != nil {
			over = append(over, some[i].Member)
		}
		if errs[i] != nil {
			err = errs[i]
		}
	}
	return ended, over, err
}

// endTogether ends all sessions and then waits once for the disk: one wait of a second
// for every few hundred sessions would outlast the caller's timeout. It works on a
// single server only, where the last write is on the disk after all earlier ones. Only
// then does the store take the sessions off the subject's list, so that a caller who
// tries again still finds them.
func (s *Store) endTogether(ctx context.Context, listed []rueidis.ZScore, subject string, how store.End) (int, error) {
	const doing = "end the sessions of a subject"
	n := 0
	var over []string
	for some := range slices.Chunk(listed, atOnce) {
		ids := make([]string, len(some))
		for i, one := range some {
			ids[i] = one.Member
		}
		if err := s.willEnd(ctx, doing, how.At, ids...); err != nil {
			return n, err
		}
		ended, gone, err := s.endSome(some, func(id string) (result end, _ error) {
			err := s.run(ctx, doing, repeatable, s.scripts.end, []string{s.sessionKey(id)}, endArgs(subject, how),
				func(answer rueidis.RedisResult, _ bool) error { return result.read(answer) })
			if rueidis.IsRedisNil(err) {
				return end{}, nil
			}
			return result, err
		})
		n += ended
		over = append(over, gone...)
		if err != nil {
			return n, err
		}
	}
	if len(over) == 0 {
		return n, nil
	}
	if _, err := s.end(ctx, doing, over[len(over)-1], subject, how); err != nil {
		return n, err
	}
	// A replica that took over in the meantime may lack some of the ends.
	if err := s.checkEnded(ctx, doing, over); err != nil {
		return n, err
	}
	s.unlist(ctx, subject, over)
	return n, nil
}

// checkEnded returns an error if any of the sessions lives.
func (s *Store) checkEnded(ctx context.Context, doing string, ids []string) error {
	for some := range slices.Chunk(ids, atOnce) {
		members := make([]rueidis.ZScore, len(some))
		for i, id := range some {
			members[i].Member = id
		}
		sessions, err := s.getAll(ctx, doing, members)
		if err != nil {
			return err
		}
		for _, session := range sessions {
			if session != nil && session.EndedAt.IsZero() {
				return s.explain(ctx, doing, errEndsLost)
			}
		}
	}
	return nil
}

// endArgs returns the arguments of the script that ends a session.
func endArgs(subject string, how store.End) []string {
	args := []string{millis(how.At), string(how.Reason), millis(how.At.Add(keep)), subject}
	if how.If != nil {
		args = append(args, strconv.FormatUint(uint64(how.If.Generation), 10), strconv.FormatUint(how.If.Branch, 10))
	}
	return args
}

// read parses the answer of the script that ends a session. The session counts as ended
// if any attempt ended it.
func (e *end) read(answer rueidis.RedisResult) error {
	parts, err := answer.ToArray()
	if err != nil {
		return err
	}
	if len(parts) != 3 {
		return errNoAnswer
	}
	of, err := parts[1].ToString()
	if err != nil {
		return err
	}
	e.subject = &of
	if e.lives, err = parts[2].AsBool(); err != nil {
		return err
	}
	ended, err := parts[0].AsBool()
	e.ended = e.ended || ended
	return err
}
