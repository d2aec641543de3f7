package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/audit"
	"github.com/tandem-auth/tandem/store"
)

// RunAudit runs the suite for an [audit.Store]. newPlace has the same contract as in [Run].
func RunAudit(t *testing.T, newPlace func(t testing.TB) (open func() audit.Store)) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s audit.Store, open func() audit.Store)
	}{
		{"records come back as they were added, the oldest first", appendAudit},
		{"a query selects", queryAudit},
		{"old records are swept", sweepAudit},
		{"parallel additions lose nothing", parallelAudit},
		{"a cancelled context ends a call", cancelledAudit},
	} {
		t.Run("audit: "+test.name, func(t *testing.T) {
			open := newPlace(t)
			test.run(t, open(), open)
		})
	}
}

func record(n int, action, subject, session string) store.AuditRecord {
	return store.AuditRecord{
		ID: fmt.Sprintf("record-%04d", n), Time: epoch.Add(time.Duration(n) * time.Second), Action: action, Outcome: "ok", Actor: "user",
		Subject: subject, Session: session, IP: "2001:db8::1",
	}
}

func appendRecords(t *testing.T, s audit.Store, records ...store.AuditRecord) {
	t.Helper()
	if err := s.AppendAudit(t.Context(), records); err != nil {
		t.Fatalf("AppendAudit: %v", err)
	}
}

func wantRecords(t *testing.T, s audit.Store, query store.AuditQuery, want ...int) {
	t.Helper()
	found, err := s.Audit(t.Context(), query)
	if err != nil {
		t.Fatalf("Audit: %v", err)
	}
	var got, ids []string
	for _, r := range found {
		got = append(got, r.ID)
	}
	for _, n := range want {
		ids = append(ids, fmt.Sprintf("record-%04d", n))
	}
	if !slices.Equal(got, ids) {
		t.Errorf("%+v: got %q, want %q", query, got, ids)
	}
}

func appendAudit(t *testing.T, s audit.Store, open func() audit.Store) {
	wantRecords(t, s, store.AuditQuery{})
	appendRecords(t, s)
	full := store.AuditRecord{
		ID: "record-0001", Time: epoch.Add(time.Second), Action: "session_end", Outcome: "failed", Actor: "command:张伟", Subject: "u-1",
		Session: "s-1", Target: "key \"1\"", Reason: "revoked", IP: "192.0.2.1", RequestID: "r-1", Count: 3,
	}
	appendRecords(t, s, record(2, "sign_in", "", ""), full)
	appendRecords(t, s, record(0, "sign_in", "", ""))
	wantRecords(t, open(), store.AuditQuery{}, 0, 1, 2)
	found, err := s.Audit(t.Context(), store.AuditQuery{Action: "session_end"})
	if err != nil || len(found) != 1 {
		t.Fatalf("Audit: %v, %v", found, err)
	}
	if !found[0].Time.Equal(full.Time) {
		t.Errorf("time %v, want %v", found[0].Time, full.Time)
	}
	if found[0].Time = full.Time; found[0] != full {
		t.Errorf("got  %+v\nwant %+v", found[0], full)
	}
}

func queryAudit(t *testing.T, s audit.Store, _ func() audit.Store) {
	for n := range 40 {
		appendRecords(t, s, record(n, []string{"sign_in", "session_end"}[n%2], fmt.Sprintf("u-%d", n%4), fmt.Sprintf("s-%d", n%8)))
	}
	at := func(n int) time.Time { return epoch.Add(time.Duration(n) * time.Second) }
	wantRecords(t, s, store.AuditQuery{Since: at(37)}, 37, 38, 39)
	wantRecords(t, s, store.AuditQuery{Since: at(3), Until: at(5)}, 3, 4)
	wantRecords(t, s, store.AuditQuery{Limit: 2}, 38, 39)
	wantRecords(t, s, store.AuditQuery{Subject: "u-1", Limit: 3}, 29, 33, 37)
	wantRecords(t, s, store.AuditQuery{Session: "s-7"}, 7, 15, 23, 31, 39)
	wantRecords(t, s, store.AuditQuery{Action: "sign_in", Subject: "u-2", Since: at(30)}, 30, 34, 38)
	wantRecords(t, s, store.AuditQuery{Action: "sign_in", Subject: "u-1"})
	wantRecords(t, s, store.AuditQuery{Subject: "' OR 1=1 --"})
}

func sweepAudit(t *testing.T, s audit.Store, _ func() audit.Store) {
	var records []store.AuditRecord
	for n := range 1500 {
		records = append(records, record(n, "sign_in", "", ""))
	}
	appendRecords(t, s, records...)
	for swept := 0; swept < 1498; {
		n, err := s.SweepAudit(t.Context(), epoch.Add(1498*time.Second))
		if err != nil || n == 0 {
			t.Fatalf("SweepAudit: %d, %v", n, err)
		}
		swept += n
	}
	wantRecords(t, s, store.AuditQuery{}, 1498, 1499)
}

func parallelAudit(t *testing.T, s audit.Store, _ func() audit.Store) {
	inParallel(50, func(i int) {
		if err := s.AppendAudit(t.Context(), []store.AuditRecord{record(2*i, "a", "", ""), record(2*i+1, "b", "", "")}); err != nil {
			t.Errorf("AppendAudit: %v", err)
		}
	})
	found, err := s.Audit(t.Context(), store.AuditQuery{})
	if err != nil || len(found) != 100 {
		t.Errorf("%d records, %v; want 100", len(found), err)
	}
}

func cancelledAudit(t *testing.T, s audit.Store, _ func() audit.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Audit(ctx, store.AuditQuery{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Audit: %v", err)
	}
	if err := s.AppendAudit(ctx, []store.AuditRecord{record(1, "a", "", "")}); !errors.Is(err, context.Canceled) {
		t.Errorf("AppendAudit: %v", err)
	}
}
