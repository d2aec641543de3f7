package bench

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable writes the medians as a table.
func (r Report) WriteTable(w io.Writer) error {
	fmt.Fprintf(w, "%d clients, %d rounds of %gs, on %d CPUs (%s, %s); medians of the rounds\n\n",
		r.Clients, r.Rounds, r.Seconds, r.CPUs, r.System, r.Go)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tDURABLE\tREFRESHES/S\tTO PEER\tP50\tP99\tSERVER CPU\tLOAD CPU\tOTHER CORES\tPER REFRESH")
	for _, t := range r.Targets {
		m := t.Median
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%s\t%s\t%s\t%.0fµs\t%.0fµs\t%.2f\t%s\n",
			t.Name, t.Durable, m.RefreshesPerSecond, ratio(m.ToPeer), duration(m.P50), duration(m.P99),
			m.ServerCPU, m.LoadCPU, m.OtherCores, counts(m.PerRefresh))
	}
	err := table.Flush()
	for _, s := range r.Skipped {
		_, more := fmt.Fprintf(w, "\nnot measured: %s: %s\n", s.Name, s.Reason)
		err = errors.Join(err, more)
	}
	if err != nil {
		return fmt.Errorf("write the table: %w", err)
	}
	return nil
}

func ratio(r float64) string {
	if r == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2fx", r)
}

func duration(microseconds float64) string {
	return (time.Duration(microseconds) * time.Microsecond).Round(10 * time.Microsecond).String()
}

// counts lists the operations that occur at least once per hundred refreshes.
func counts(perRefresh map[string]float64) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(perRefresh)) {
		if n := perRefresh[name]; n >= 0.01 {
			parts = append(parts, fmt.Sprintf("%.2f %s", n, name))
		}
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}
