package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/tandem-auth/tandem/internal/demo"
)

type demoCommand struct {
	Duration time.Duration `default:"15s" help:"How long it runs (default ${default})."`
	Workers  int           `default:"64" help:"How many workers share the session (default ${default})."`
}

// Validate refuses a duration or a number of workers that is out of range.
func (cmd *demoCommand) Validate() error {
	if cmd.Duration < time.Second || cmd.Workers < 1 || cmd.Workers > 10_000 {
		return errors.New("--duration must be at least 1s, --workers from 1 to 10000")
	}
	return nil
}

// Run runs the demonstration and prints its table.
func (cmd *demoCommand) Run(ctx context.Context, c console) error {
	config := demo.Config{Duration: cmd.Duration, Workers: cmd.Workers, AccessTTL: 2 * time.Second, Restarts: 2}
	if !c.json {
		fmt.Fprintf(c.out, "%d workers share one session for %s: access tokens last %s, replies get lost,\nthe refresh endpoint is busy and a good token refused now and then, and the\nserver is restarted twice.\n\n",
			cmd.Workers, cmd.Duration, config.AccessTTL)
	}
	if f, ok := c.out.(*os.File); ok && !c.json && term.IsTerminal(int(f.Fd())) {
		config.Progress = func(elapsed time.Duration, r demo.Report) { drawProgress(c.out, elapsed, cmd.Duration, r) }
	}
	report, err := demo.Run(ctx, config)
	if config.Progress != nil {
		fmt.Fprint(c.out, "\r\x1b[K")
	}
	if err != nil {
		return err
	}
	if c.json {
		err = printJSON(c.out, report)
	} else {
		printReport(c.out, report)
	}
	if !report.OK() {
		return errors.New("a request failed for good or the session was lost")
	}
	return err
}

// drawProgress replaces the current line of a terminal with the progress so far.
func drawProgress(w io.Writer, elapsed, total time.Duration, r demo.Report) {
	const width = 10
	done := min(int(width*elapsed/total), width)
	line := fmt.Sprintf("[%s%s] %4.1fs  requests: %d, refreshes: %d, restarts: %d, failed: %d",
		strings.Repeat("=", done), strings.Repeat(" ", width-done), elapsed.Seconds(),
		r.Requests, r.Refreshes, r.Restarts, r.Failed)
	const narrow = 79 // \r cannot go back over a line that has wrapped
	fmt.Fprintf(w, "\r%.*s\x1b[K", narrow, line)
}

func printReport(w io.Writer, r demo.Report) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		name  string
		count int64
		note  string
	}{
		{"requests", r.Requests, "answered"},
		{"expiries", r.Expiries, "access tokens that ran out or were refused"},
		{"refreshes", r.Refreshes, ""},
		{"replays", r.Replays, "requests sent again after a 401"},
		{"failed requests", r.Failed, ""},
		{"logouts", r.Logouts, ""},
		{"", 0, ""},
		{"replies lost", r.RepliesDropped, fmt.Sprintf("calls made again for that or for a restart: %d", r.Retries)},
		{"503 on refresh", r.Unavailable, ""},
		{"good tokens refused", r.Refused, ""},
		{"restarts", r.Restarts, ""},
	} {
		if row.name == "" {
			fmt.Fprintln(table, "\t\t")
			continue
		}
		fmt.Fprintf(table, "%s\t%d\t  %s\n", row.name, row.count, row.note)
	}
	_ = table.Flush()
}
