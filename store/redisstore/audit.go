package redisstore

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/tandem-auth/tandem/store"
)

// auditKey is a sorted set of records as JSON, by their times. A record has a random ID, so
// that no two are equal, and adding one again, after a lost answer, changes nothing.
const auditKey = "audit"

// auditPage is how many records one command reads.
const auditPage = 1000

// AppendAudit adds records to the audit log, all or none.
func (s *Store) AppendAudit(ctx context.Context, records []store.AuditRecord) error {
	if len(records) == 0 {
		return nil
	}
	var args []string
	for _, r := range records {
		text, err := json.Marshal(r)
		if err != nil {
			return err
		}
		args = append(args, millis(r.Time), string(text))
	}
	return s.runDurably(ctx, "add to the audit log", repeatable, s.scripts.appendAudit, []string{s.key(auditKey)}, args,
		func(answer rueidis.RedisResult) error { return answer.Error() })
}

// Audit returns records of the audit log, the oldest first. Redis finds them by their time
// alone: a query for a subject reads all records of that time.
func (s *Store) Audit(ctx context.Context, query store.AuditQuery) ([]store.AuditRecord, error) {
	latest := "+inf"
	if !query.Until.IsZero() {
		latest = "(" + millis(query.Until)
	}
	earliest := "-inf"
	if !query.Since.IsZero() {
		earliest = millis(query.Since)
	}
	var found []store.AuditRecord
	for offset := int64(0); ; offset += auditPage {
		var page []string
		err := s.try(ctx, "read the audit log", repeatable, func(bool) (err error) {
			page, err = s.client.Do(ctx, s.client.B().Zrange().Key(s.key(auditKey)).Min(latest).Max(earliest).
				Byscore().Rev().Limit(offset, auditPage).Build()).AsStrSlice()
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, text := range page {
			var record store.AuditRecord
			if err := json.Unmarshal([]byte(text), &record); err != nil {
				return nil, damaged(err)
			}
			if isWanted(record, query) {
				found = append(found, record)
			}
			if query.Limit > 0 && len(found) == query.Limit {
				slices.Reverse(found)
				return found, nil
			}
		}
		if len(page) < auditPage {
			slices.Reverse(found)
			return found, nil
		}
	}
}

func isWanted(record store.AuditRecord, query store.AuditQuery) bool {
	return (query.Subject == "" || record.Subject == query.Subject) &&
		(query.Session == "" || record.Session == query.Session) &&
		(query.Action == "" || record.Action == query.Action)
}

// SweepAudit removes the records from before a time.
func (s *Store) SweepAudit(ctx context.Context, before time.Time) (removed int, _ error) {
	err := s.try(ctx, "sweep the audit log", repeatable, func(bool) error {
		n, err := s.client.Do(ctx, s.client.B().Zremrangebyscore().Key(s.key(auditKey)).
			Min("-inf").Max("("+strconv.FormatInt(before.UnixMilli(), 10)).Build()).AsInt64()
		removed = int(n)
		return err
	})
	return removed, err
}
