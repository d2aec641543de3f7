package main

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

func TestEverySizeIsMeasured(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			rows, err := measureAll(t.Context(), name, dir, []int{100, 1000}, 20)
			if errors.Is(err, engines.ErrNotInstalled) {
				need.Missing(t, "postgresql")
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, sessions := range []int{100, 1000} {
				r := rows[i]
				if r.sessions != sessions || r.alone.p50 == 0 || r.together.p99 < r.together.p50 || r.perSecond == 0 {
					t.Errorf("at %d sessions: %+v", sessions, r)
				}
				if len(r.parts) != 5 || r.indexBytes() == 0 || r.indexBytes() >= r.bytes {
					t.Errorf("at %d sessions %d bytes: %+v", sessions, r.bytes, r.parts)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v %v", left, err)
			}
		})
	}
	if _, err := measureAll(t.Context(), "paper", "", []int{1}, 1); err == nil {
		t.Error("a store of paper was taken")
	}
}

// Sessions begin one after another, whatever the sizes in between, and none has
// expired.
func TestThePopulationIsInOrder(t *testing.T) {
	all := newPopulation(1000)
	last := all.now.Add(-lifetime)
	for range 1000 {
		s := all.next()
		switch {
		case s.CreatedAt.Before(last) || s.CreatedAt.After(all.now):
			t.Fatalf("began at %v, after one of %v", s.CreatedAt, last)
		case s.ConfirmedAt.Before(s.CreatedAt) || s.ConfirmedAt.After(all.now):
			t.Fatalf("began at %v, confirmed at %v", s.CreatedAt, s.ConfirmedAt)
		case s.ExpiresAt.Sub(all.now) < margin:
			t.Fatalf("expires at %v", s.ExpiresAt)
		}
		last = s.CreatedAt
	}
	if !last.Equal(all.now) {
		t.Errorf("the last one began at %v, want %v", last, all.now)
	}
}

func TestTheGoalsAreChecked(t *testing.T) {
	at := func(sessions int, p50 time.Duration) row {
		return row{
			sessions: sessions, bytes: int64(240 * sessions), alone: latency{p50: p50},
			parts: []part{{"sessions", int64(140 * sessions)}, {"by_id", int64(60 * sessions)}, {"by_end", int64(40 * sessions)}},
		}
	}
	rows := []row{at(smallSize, 200*time.Microsecond), at(1_000_000, 320*time.Microsecond)}
	var out bytes.Buffer
	if err := errors.Join(writeTable(&out, rows), writeMarkdown(&out, rows), writeSummary(&out, "sqlite", rows)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"| 1000000 | 240 | 100 | 320 |",
		"sessions 140, by_id 60, by_end 40.",
		"1.60 times as long at 1000000 sessions as at 10000 (p50); the goal is at most 1.5: missed.",
		"240 bytes, 0.96 times the 250 that it is to stay under: met.",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, out.String())
		}
	}
}
