// Command scale fills a store with more and more sessions, and measures at each size
// how long a refresh takes in it and how much room a session takes on the disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
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
	name := flag.String("store", "sqlite", "sqlite or postgres")
	sizes := flag.String("sizes", "1000,10000,100000,1000000,10000000", "how many sessions to measure at, ascending")
	samples := flag.Int("samples", 3000, "how many refreshes to measure one by one, and how many times 32 at once")
	markdown := flag.Bool("markdown", false, "print a table in Markdown")
	flag.Parse()
	var steps []int
	for text := range strings.SplitSeq(*sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < 1 || len(steps) > 0 && size <= steps[len(steps)-1] {
			return fmt.Errorf("-sizes %q: want ascending numbers with commas between them", *sizes)
		}
		steps = append(steps, size)
	}
	rows, err := measureAll(ctx, *name, steps, *samples)
	show := printTable
	if *markdown {
		show = printMarkdown
	}
	return errors.Join(show(rows), err)
}

// measureAll returns a row for each size that it got to.
func measureAll(ctx context.Context, name string, sizes []int, samples int) (rows []row, err error) {
	p, err := newPlace(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	var all population
	for _, size := range sizes {
		if err := p.fill(ctx, &all, size); err != nil {
			return rows, fmt.Errorf("fill it up to %d sessions: %w", size, err)
		}
		one, err := measure(ctx, p, &all, samples)
		if err != nil {
			return rows, fmt.Errorf("measure at %d sessions: %w", size, err)
		}
		rows = append(rows, one)
		fmt.Fprintf(os.Stderr, "%d sessions: a refresh alone takes %s (p50)\n", size, one.alone.p50)
	}
	return rows, nil
}

var headings = []string{"sessions", "bytes a session", "of which indexes", "alone p50", "p99", "32 at once: refreshes/s", "p50", "p99"}

func (r row) cells() []string {
	indexes := "-"
	if r.indexBytes > 0 {
		indexes = fmt.Sprint(r.indexBytes / int64(r.sessions))
	}
	return []string{
		fmt.Sprint(r.sessions), fmt.Sprint(r.bytes / int64(r.sessions)), indexes,
		r.alone.p50.String(), r.alone.p99.String(),
		fmt.Sprintf("%.0f", r.perSecond), r.together.p50.String(), r.together.p99.String(),
	}
}

func printTable(rows []row) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, strings.Join(headings, "\t")+"\t")
	for _, r := range rows {
		fmt.Fprintln(table, strings.Join(r.cells(), "\t")+"\t")
	}
	return table.Flush()
}

func printMarkdown(rows []row) error {
	fmt.Printf("| %s |\n|%s\n", strings.Join(headings, " | "), strings.Repeat("---:|", len(headings)))
	for _, r := range rows {
		fmt.Printf("| %s |\n", strings.Join(r.cells(), " | "))
	}
	return nil
}
