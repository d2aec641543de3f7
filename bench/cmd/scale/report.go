package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// Goals. A run that misses one reports that, and does not fail.
const (
	// largestRatio bounds how many times longer a single refresh may take (p50) at the
	// largest size than at smallSize.
	largestRatio = 1.5
	smallSize    = 10_000
	// largestSession bounds how many bytes a session takes in SQLite, with its indexes.
	largestSession = 250
)

var headings = []string{
	"sessions", "bytes a session", "of which indexes", "alone: p50 (µs)", "p99 (µs)",
	"32 at once: refreshes/s", "p50 (µs)", "p99 (µs)",
}

func (r row) cells() []string {
	indexes := "-"
	if len(r.parts) > 0 {
		indexes = r.each(r.indexBytes())
	}
	return []string{
		fmt.Sprint(r.sessions), r.each(r.bytes), indexes,
		micros(r.alone.p50), micros(r.alone.p99),
		fmt.Sprintf("%.0f", r.perSecond), micros(r.together.p50), micros(r.together.p99),
	}
}

// each returns how many of the bytes belong to one session.
func (r row) each(bytes int64) string {
	return fmt.Sprintf("%.0f", float64(bytes)/float64(r.sessions))
}

func micros(d time.Duration) string { return fmt.Sprint(d.Microseconds()) }

func writeTable(w io.Writer, rows []row) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(headings, "\t")+"\t")
	for _, r := range rows {
		fmt.Fprintln(table, strings.Join(r.cells(), "\t")+"\t")
	}
	return table.Flush()
}

func writeMarkdown(w io.Writer, rows []row) error {
	_, err := fmt.Fprintf(w, "| %s |\n|%s\n", strings.Join(headings, " | "), strings.Repeat("---:|", len(headings)))
	for _, r := range rows {
		if err == nil {
			_, err = fmt.Fprintf(w, "| %s |\n", strings.Join(r.cells(), " | "))
		}
	}
	return err
}

// writeSummary prints how the bytes at the largest size are distributed, and which
// goals the run met.
func writeSummary(w io.Writer, store string, rows []row) error {
	if len(rows) == 0 {
		return nil
	}
	last := rows[len(rows)-1]
	var lines []string
	if len(last.parts) > 0 {
		split := make([]string, 0, len(last.parts))
		for _, p := range last.parts {
			split = append(split, p.name+" "+last.each(p.bytes))
		}
		lines = append(lines, fmt.Sprintf("Bytes a session at %d sessions: %s.", last.sessions, strings.Join(split, ", ")))
	}
	for _, r := range rows {
		if r.sessions == smallSize && last.sessions > smallSize {
			ratio := float64(last.alone.p50) / float64(r.alone.p50)
			lines = append(lines, fmt.Sprintf("A refresh alone takes %.2f times as long at %d sessions as at %d (p50); the goal is at most %.1f: %s.",
				ratio, last.sessions, smallSize, largestRatio, met(ratio <= largestRatio)))
		}
	}
	if store == "sqlite" {
		bytes := float64(last.bytes) / float64(last.sessions)
		lines = append(lines, fmt.Sprintf("A session takes %.0f bytes, %.2f times the %d that it is to stay under: %s.",
			bytes, bytes/largestSession, largestSession, met(bytes < largestSession)))
	}
	if len(lines) == 0 {
		return nil
	}
	_, err := fmt.Fprintln(w, "\n"+strings.Join(lines, "\n"))
	return err
}

func met(yes bool) string {
	if yes {
		return "met"
	}
	return "missed"
}
