package pgstore

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/store"
)

// AppendAudit adds records to the audit log, all or none. A record whose ID is there
// already is not added again.
func (s *Store) AppendAudit(ctx context.Context, records []store.AuditRecord) error {
	if len(records) == 0 {
		return nil
	}
	text, err := json.Marshal(records)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, "add to the audit log", repeatable, `INSERT INTO tandem_audit (id, at, subject, session, action, record)
		SELECT r->>'id', (r->>'time')::timestamptz, coalesce(r->>'subject', ''), coalesce(r->>'session', ''), r->>'action', r
		FROM jsonb_array_elements($1::jsonb) AS r ON CONFLICT (id) DO NOTHING`, string(text))
	return err
}

// Audit returns records of the audit log, the oldest first.
func (s *Store) Audit(ctx context.Context, query store.AuditQuery) ([]store.AuditRecord, error) {
	where, args := []string{"at >= $1"}, []any{query.Since}
	add := func(condition string, arg any) {
		args = append(args, arg)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if !query.Until.IsZero() {
		add("at < $%d", query.Until)
	}
	if query.Subject != "" {
		add("subject = $%d AND subject <> ''", query.Subject)
	}
	if query.Session != "" {
		add("session = $%d AND session <> ''", query.Session)
	}
	if query.Action != "" {
		add("action = $%d", query.Action)
	}
	limit := ""
	if query.Limit > 0 {
		limit = fmt.Sprintf(" LIMIT %d", query.Limit)
	}
	return collect(ctx, s, "read the audit log", scanRecord, `SELECT record FROM (
			SELECT at, id, record FROM tandem_audit WHERE `+strings.Join(where, " AND ")+` ORDER BY at DESC, id DESC`+limit+`) AS newest
		ORDER BY at, id`, args...)
}

func scanRecord(row pgx.Row) (record store.AuditRecord, _ error) {
	var text []byte
	if err := row.Scan(&text); err != nil {
		return record, err
	}
	return record, json.Unmarshal(text, &record)
}

// SweepAudit removes up to 1,000 records from before a time.
func (s *Store) SweepAudit(ctx context.Context, before time.Time) (int, error) {
	n, err := s.exec(ctx, "sweep the audit log", repeatable, `WITH over AS (
			SELECT id FROM tandem_audit WHERE at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
		DELETE FROM tandem_audit WHERE id IN (SELECT id FROM over)`, before, sweepBatch)
	return int(n), err
}
