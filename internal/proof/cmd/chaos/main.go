// Command chaos runs package chaos and prints a table. It exits 1 if a session ended by
// mistake, or worked again after its sign-out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"text/tabwriter"

	"github.com/tandem-auth/tandem/internal/proof/chaos"
)

func main() {
	run := parent
	if os.Getenv(chaos.ClientEnv) != "" {
		run = chaos.Client
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

func parent() (err error) {
	kills := flag.Int("kills", 50, "how often to kill the server")
	clients := flag.Int("clients", 8, "how many client processes")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	folder, err := os.MkdirTemp("", "tandem-chaos-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(folder)) }()
	server := filepath.Join(folder, "tandem.exe")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-o", server, "./cmd/tandem")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	report, err := chaos.Run(ctx, chaos.Config{
		Server: server, Client: []string{self}, Folder: folder, Clients: *clients, Kills: *kills,
		Progress: func(n int) {
			if n%10 == 0 {
				fmt.Printf("killed %d times\n", n)
			}
		},
	})
	if err != nil {
		return err
	}
	printTable(os.Stdout, report)
	if !report.OK() {
		return errors.New("a session was lost or came back, or too little happened")
	}
	return nil
}

func printTable(w io.Writer, r chaos.Report) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range []struct {
		name  string
		count int64
	}{
		{"kills", int64(r.Kills)},
		{"faults of the network", r.Faults},
		{"calls", r.Calls},
		{"refreshes", r.Refreshes},
		{"temporary errors", r.Temporary},
		{"sign-ins", r.SignIns},
		{"sign-outs answered", r.SignOuts},
		{"of these, sessions that came back", r.CameBack},
		{"false logouts", r.FalseLogouts},
	} {
		fmt.Fprintf(table, "%s\t%d\t\n", row.name, row.count)
	}
	_ = table.Flush()
}
