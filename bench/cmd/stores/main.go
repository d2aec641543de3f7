// Command stores measures refreshes with each store of tandem serve and with a server
// for comparison, and prints a table. Run it in the folder of its module:
//
//	go run ./cmd/stores -rounds 5
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tandem-auth/tandem/bench"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	clients := flag.Int("clients", 32, "how many `clients` there are, each with a session of its own")
	rounds := flag.Int("rounds", 3, "how often each server is measured")
	seconds := flag.Float64("seconds", 5, "how long a measurement takes")
	warmup := flag.Float64("warmup", 1, "`seconds` before each that are not counted")
	only := flag.String("only", "", "measure only these, `keys` out of "+strings.Join(bench.Keys(), ","))
	file := flag.String("json", "", "write all figures to a `file`, too")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("what is %q? -help lists the flags", flag.Arg(0))
	}
	config := bench.Config{
		Clients: *clients, Rounds: *rounds, Measured: inSeconds(*seconds), Warmup: inSeconds(*warmup), Progress: terminal(),
	}
	if *only != "" {
		config.Only = strings.Split(*only, ",")
	}
	report, err := bench.Run(ctx, config)
	if err != nil {
		return err
	}
	if *file != "" {
		if err := writeJSON(*file, report); err != nil {
			return err
		}
	}
	return report.WriteTable(os.Stdout)
}

func inSeconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// terminal returns standard error if it is a terminal, or nil.
func terminal() io.Writer {
	info, err := os.Stderr.Stat()
	if err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	return os.Stderr
}

func writeJSON(path string, report bench.Report) error {
	text, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the figures: %w", err)
	}
	return nil
}
