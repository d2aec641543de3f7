package main

import (
	"errors"
	"testing"

	"github.com/tandem-auth/tandem/internal/engines"
	"github.com/tandem-auth/tandem/internal/need"
)

func TestEverySizeIsMeasured(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			rows, err := measureAll(t.Context(), name, []int{100, 1000}, 20)
			if errors.Is(err, engines.ErrNotInstalled) {
				need.Missing(t, "postgresql")
			}
			if err != nil {
				t.Fatal(err)
			}
			for i, sessions := range []int{100, 1000} {
				if r := rows[i]; r.sessions != sessions || r.bytes == 0 || r.alone.p50 == 0 || r.together.p99 < r.together.p50 || r.perSecond == 0 {
					t.Errorf("at %d sessions: %+v", sessions, r)
				}
			}
		})
	}
	if _, err := measureAll(t.Context(), "paper", nil, 1); err == nil {
		t.Error("a store of paper was taken")
	}
}
