package redisstore

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// A sweep walks through all keys of a server, since nothing lists sessions by their last
// confirmation: setting each session's time to live at a refresh would be a second write.
const (
	// scanned is how many keys the server looks at for one step of the walk.
	scanned = 1000
	// idleBatches is how many steps one sweep makes at each server.
	idleBatches = 100
)

// walks has, for the address of each server, where the next sweep goes on. The zero value
// begins everywhere at the start.
type walks struct {
	mu      sync.Mutex
	cursors map[string]uint64
}

func (w *walks) at(address string) uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.cursors[address]
}

func (w *walks) goOn(address string, cursor uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cursors == nil {
		w.cursors = map[string]uint64{}
	}
	w.cursors[address] = cursor
}

// Sweep removes sessions that are live and were confirmed before idle, among the next
// 100,000 keys of each server. Redis removes the sessions that have ended or expired by
// itself, 30 days after that.
func (s *Store) Sweep(ctx context.Context, over, idle time.Time) (removed int, _ error) {
	if err := ctx.Err(); err != nil {
		return 0, s.explain(ctx, "sweep", err)
	}
	if err := s.forgetEnded(ctx, over); err != nil {
		return 0, err
	}
	for address, node := range s.client.Nodes() {
		n, err := s.sweepNode(ctx, address, node, idle)
		removed += n
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (s *Store) sweepNode(ctx context.Context, address string, node rueidis.Client, idle time.Time) (removed int, _ error) {
	before, after := s.sessionKeyParts()
	pattern := escapeGlob(before) + "*" + escapeGlob(after)
	for range idleBatches {
		var step rueidis.ScanEntry
		err := s.try(ctx, "sweep", repeatable, func(bool) (err error) {
			step, err = node.Do(ctx, node.B().Scan().Cursor(s.walks.at(address)).Match(pattern).Count(scanned).Build()).AsScanEntry()
			return err
		})
		if err != nil {
			return removed, err
		}
		for some := range slices.Chunk(step.Elements, atOnce) {
			n, err := s.removeIdle(ctx, some, idle)
			removed += n
			if err != nil {
				return removed, err
			}
		}
		s.walks.goOn(address, step.Cursor)
		if step.Cursor == 0 {
			break
		}
	}
	return removed, nil
}

// removeIdle removes those of the sessions with the given keys that are idle, and returns
// how many that were.
func (s *Store) removeIdle(ctx context.Context, keys []string, idle time.Time) (removed int, _ error) {
	commands := make(rueidis.Commands, len(keys))
	for i, key := range keys {
		commands[i] = s.client.B().Hmget().Key(key).Field("confirmed_at", "ended_at").Build()
	}
	for i, answer := range s.client.DoMulti(ctx, commands...) {
		fields, err := answer.AsStrSlice()
		if err != nil {
			return removed, s.explain(ctx, "sweep", err)
		}
		confirmedAt, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || confirmedAt >= idle.UnixMilli() || fields[1] != "" {
			continue // gone, in use, or ended
		}
		subject, err := s.removeIfIdle(ctx, keys[i], idle)
		if err != nil {
			return removed, err
		}
		if subject != "" {
			removed++
			before, after := s.sessionKeyParts()
			s.unlist(ctx, subject, []string{strings.TrimSuffix(strings.TrimPrefix(keys[i], before), after)})
		}
	}
	return removed, nil
}

// removeIfIdle removes a session if it is still idle, and returns its subject then.
func (s *Store) removeIfIdle(ctx context.Context, key string, idle time.Time) (subject string, _ error) {
	err := s.run(ctx, "sweep", repeatable, s.scripts.removeIdle, []string{key}, []string{millis(idle)},
		func(answer rueidis.RedisResult, _ bool) (err error) {
			subject, err = answer.ToString()
			return err
		})
	if rueidis.IsRedisNil(err) {
		return "", nil
	}
	return subject, err
}

// sessionKeyParts returns what a session's key has before and after the ID.
func (s *Store) sessionKeyParts() (before, after string) {
	before, after, _ = strings.Cut(s.sessionKey("\x00"), "\x00")
	return before, after
}

// escapeGlob returns a pattern that matches the text alone.
func escapeGlob(text string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(text)
}
