package bench

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/need"
)

var small = Config{Clients: 4, Rounds: 1, Warmup: 100 * time.Millisecond, Measured: 300 * time.Millisecond}

// Run measures every installed server, and the figures are not zero.
func TestRun(t *testing.T) {
	var report Report
	for config := small; ; config.Measured *= 4 {
		var err error
		if report, err = Run(t.Context(), config); err != nil {
			t.Fatal(err)
		}
		// On a starved machine, a server may answer nothing within 300 ms.
		isStarved := slices.ContainsFunc(report.Targets, func(each Target) bool { return each.Median.RefreshesPerSecond == 0 })
		if !isStarved || config.Measured > 10*time.Second {
			break
		}
	}
	if n := len(report.Targets) + len(report.Skipped); n != len(Keys()) {
		t.Errorf("%d servers in the report, want %d", n, len(Keys()))
	}
	for _, target := range report.Targets {
		m := target.Median
		if m.RefreshesPerSecond <= 0 || m.P50 <= 0 || m.P99 < m.P50 || m.ToPeer <= 0 {
			t.Errorf("%s: %+v", target.Name, m)
		}
		if strings.Contains(target.Name, "PostgreSQL") && m.PerRefresh["rows updated"] <= 0 {
			t.Errorf("%s: no row was updated: %v", target.Name, m.PerRefresh)
		}
		if strings.Contains(target.Name, "Redis") && len(m.PerRefresh) == 0 {
			t.Errorf("%s: no command was called", target.Name)
		}
	}
	var table strings.Builder
	if err := report.WriteTable(&table); err != nil {
		t.Fatal(err)
	}
	for _, target := range report.Targets {
		if !strings.Contains(table.String(), target.Name) {
			t.Errorf("%s is not in the table", target.Name)
		}
	}
	t.Log("\n" + table.String())
	for _, s := range report.Skipped {
		if strings.Contains(s.Reason, engines.ErrNotInstalled.Error()) {
			need.Missing(t, s.Name)
		}
	}
}

// Run ends soon after an interrupt, and removes its folder.
func TestInterrupt(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, interrupt := context.WithCancel(t.Context())
	config := small
	config.Only = []string{"sqlite", PeerKey}
	config.Measured = mostTime
	config.Progress = writerFunc(func(line string) {
		if strings.HasPrefix(line, "measuring") {
			time.AfterFunc(time.Second, interrupt) // during the measurement
		}
	})
	began := time.Now()
	_, err := Run(ctx, config)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if took := time.Since(began); took > mostTime {
		t.Errorf("it took %s to end", took)
	}
	left, err := os.ReadDir(os.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range left {
		if strings.HasPrefix(entry.Name(), "tandem-bench-") {
			t.Errorf("%s is left", entry.Name())
		}
	}
}

type writerFunc func(string)

func (f writerFunc) Write(p []byte) (int, error) {
	f(string(p))
	return len(p), nil
}

func TestConfigs(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"no clients":       func(c *Config) { c.Clients = 0 },
		"many clients":     func(c *Config) { c.Clients = mostClients + 1 },
		"no rounds":        func(c *Config) { c.Rounds = 0 },
		"no time":          func(c *Config) { c.Measured = 0 },
		"a long time":      func(c *Config) { c.Measured = mostTime + 1 },
		"another server":   func(c *Config) { c.Only = []string{"oracle"} },
		"negative warm-up": func(c *Config) { c.Warmup = -1 },
	} {
		t.Run(name, func(t *testing.T) {
			config := small
			change(&config)
			if _, err := Run(t.Context(), config); err == nil {
				t.Error("it was taken")
			}
		})
	}
}
