// Command scale fills a store with more and more sessions. At each size it measures how
// long a refresh takes and how much disk space a session uses. It keeps its files in a
// temporary folder, and removes that folder at the end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	name := flag.String("store", "sqlite", "sqlite, postgres or redis")
	dir := flag.String("dir", "", "the folder for SQLite's temporary folder; PostgreSQL's goes to $TMPDIR")
	sizes := flag.String("sizes", "1000,10000,100000,1000000,10000000", "how many sessions to measure at, ascending")
	samples := flag.Int("samples", 3000, "how many refreshes to measure one by one, and how many times 32 at once")
	markdown := flag.Bool("markdown", false, "print a table in Markdown")
	flag.Parse()
	if *samples < 1 {
		return fmt.Errorf("-samples %d: want at least 1", *samples)
	}
	if *dir != "" && *name != "sqlite" {
		return errors.New("-dir is for SQLite; set TMPDIR for PostgreSQL")
	}
	var steps []int
	for text := range strings.SplitSeq(*sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 || len(steps) > 0 && size <= steps[len(steps)-1] {
			return fmt.Errorf("-sizes %q: want ascending numbers with commas between them", *sizes)
		}
		steps = append(steps, size)
	}
	rows, err := measureAll(ctx, *name, *dir, steps, *samples)
	show := writeTable
	if *markdown {
		show = writeMarkdown
	}
	return errors.Join(show(os.Stdout, rows), writeSummary(os.Stdout, *name, rows), err)
}

// measureAll returns a row for each size, up to the first error.
func measureAll(ctx context.Context, name, dir string, sizes []int, samples int) (rows []row, err error) {
	p, err := newPlace(ctx, name, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	all := newPopulation(slices.Max(sizes))
	for _, size := range sizes {
		if err := p.fill(ctx, all, size); err != nil {
			return rows, fmt.Errorf("fill it up to %d sessions: %w", size, err)
		}
		one, err := measure(ctx, p, all, samples)
		if err != nil {
			return rows, fmt.Errorf("measure at %d sessions: %w", size, err)
		}
		rows = append(rows, one)
		fmt.Fprintf(os.Stderr, "%d sessions: a refresh alone takes %s (p50)\n", size, one.alone.p50)
	}
	return rows, nil
}
