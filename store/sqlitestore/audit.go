package sqlitestore

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/store"
)

// AppendAudit adds records to the audit log, all or none.
func (s *Store) AppendAudit(ctx context.Context, records []store.AuditRecord) error {
	if len(records) == 0 {
		return nil
	}
	var rows [][]any
	for _, r := range records {
		record, err := json.Marshal(r)
		if err != nil {
			return err
		}
		rows = append(rows, []any{r.Time.UnixMilli(), r.Subject, r.Session, r.Action, string(record)})
	}
	text, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "add to the audit log", `INSERT INTO audit (at, subject, session, action, record)
		SELECT value->>0, value->>1, value->>2, value->>3, value->>4 FROM json_each(?)`, string(text))
	return err
}

// Audit returns records of the audit log, the oldest first.
func (s *Store) Audit(ctx context.Context, query store.AuditQuery) ([]store.AuditRecord, error) {
	where, args := []string{"at >= ?"}, []any{millisOrZero(query.Since)}
	add := func(condition string, arg any) { where, args = append(where, condition), append(args, arg) }
	if !query.Until.IsZero() {
		add("at < ?", query.Until.UnixMilli())
	}
	if query.Subject != "" {
		add("subject = ? AND subject <> ''", query.Subject)
	}
	if query.Session != "" {
		add("session = ? AND session <> ''", query.Session)
	}
	if query.Action != "" {
		add("action = ?", query.Action)
	}
	limit := -1
	if query.Limit > 0 {
		limit = query.Limit
	}
	return collect(ctx, s, "read the audit log", scanRecord, `SELECT record FROM (
			SELECT at, number, record FROM audit WHERE `+strings.Join(where, " AND ")+` ORDER BY at DESC, number DESC LIMIT ?)
		ORDER BY at, number`, append(args, limit)...)
}

func scanRecord(row row) (record store.AuditRecord, _ error) {
	var text string
	if err := row.Scan(&text); err != nil {
		return record, err
	}
	return record, json.Unmarshal([]byte(text), &record)
}

// SweepAudit removes up to 1,000 records from before a time.
func (s *Store) SweepAudit(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep the audit log",
		`DELETE FROM audit WHERE number IN (SELECT number FROM audit WHERE at < ? LIMIT ?)`, before.UnixMilli(), sweepBatch)
	return int(n), err
}
