// Command prove searches the histories of package prove and prints the results. It exits 1
// if a history breaks a promise, or if breaking a rule breaks no promise.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"text/tabwriter"
	"time"

	"github.com/tandem-auth/tandem/internal/proof/prove"
)

func main() {
	deep := flag.Bool("deep", false, "search the larger worlds too: minutes")
	stories := flag.Bool("stories", false, "tell how each broken rule shows")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	settings := prove.Settings()
	if *deep {
		settings = append(settings, prove.DeepSettings()...)
	}
	holds, err := search(ctx, os.Stdout, settings)
	if err == nil {
		var shows bool
		shows, err = breakRules(ctx, os.Stdout, *stories)
		holds = holds && shows
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "prove:", err)
	}
	if err != nil || !holds {
		os.Exit(1) //nolint:gocritic // the deferred call only releases a signal handler
	}
}

// search searches all settings, and reports whether every promise holds.
func search(ctx context.Context, w io.Writer, settings []prove.Setting) (bool, error) {
	holds := true
	table := newTable(w)
	fmt.Fprintln(table, "WORLD\tSTATES\tSTEPS\tSECONDS\tFOUND")
	for _, set := range settings {
		began := time.Now()
		result, err := set.Run(ctx)
		if err != nil {
			return false, err
		}
		found := "nothing"
		if result.Breach != "" {
			holds, found = false, result.Breach
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\t%s\n", set.Name, result.States, result.Depth, time.Since(began).Seconds(), found)
		tell(table, result)
	}
	return holds, table.Flush()
}

// breakRules breaks every rule in turn, and reports whether each break leads to a broken
// promise.
func breakRules(ctx context.Context, w io.Writer, stories bool) (bool, error) {
	shows := true
	table := newTable(w)
	fmt.Fprintln(table, "\nBROKEN RULE\tSTATES\tSTEPS\tFOUND")
	for _, broken := range prove.Breaks() {
		result, err := broken.Run(ctx)
		if err != nil {
			return false, err
		}
		found := result.Breach
		if found != broken.Expect {
			shows = false
			found = fmt.Sprintf("%q INSTEAD OF %q", found, broken.Expect)
		}
		fmt.Fprintf(table, "not: %s\t%d\t%d\t%s\n", broken.Name, result.States, len(result.Trace)-1, found)
		if stories {
			tell(table, result)
		}
	}
	return shows, table.Flush()
}

func newTable(w io.Writer) *tabwriter.Writer { return tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) }

func tell(w io.Writer, result prove.Result) {
	for i, line := range result.Trace {
		fmt.Fprintf(w, "  %2d. %s\n", i+1, line)
	}
}
