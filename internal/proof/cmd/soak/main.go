// Command soak runs package soak and prints what it has found. It exits 1 if memory or
// goroutines grew, if a refresh failed, or if an attack made the refreshes of others take
// twice as long.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/tandem-auth/tandem/internal/proof/soak"
)

func main() {
	do := run
	if os.Getenv(soak.AttackerEnv) != "" {
		do = soak.Attacker
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run() (err error) {
	c := soak.Config{Progress: func(format string, args ...any) { fmt.Printf(format+"\n", args...) }}
	flag.DurationVar(&c.For, "for", 10*time.Minute, "how long to run at half load")
	flag.DurationVar(&c.Attack, "attack", 30*time.Second, "how long the attack lasts, and the quiet time before it")
	flag.IntVar(&c.Sessions, "sessions", 200, "how many sessions to refresh")
	flag.IntVar(&c.Slow, "slow", 1000, "how many slow connections")
	flag.Parse()
	self, err := os.Executable()
	if err != nil {
		return err
	}
	c.Attacker = []string{self}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if c.Folder, err = os.MkdirTemp("", "tandem-soak-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(c.Folder)) }()
	c.Server = filepath.Join(c.Folder, "tandem.exe")
	build := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-trimpath", "-ldflags", "-s -w", "-o", c.Server, "./cmd/tandem")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build the server: %w\n%s", err, out)
	}
	r, err := soak.Run(ctx, c)
	if err != nil {
		return err
	}
	return tell(r)
}

// The bounds on what grows, and on what an attack costs others.
const (
	mostGrowth = 0.15
	mostSlower = 2.0
)

func tell(r soak.Report) error {
	memory, heap, goroutines := r.Growth()
	slower := float64(r.Attacked.Percentile(.99)) / float64(r.Quiet.Percentile(.99))
	fmt.Printf(`
at half load (%.0f of %.0f refreshes a second)
  refreshes          %d, of which %d failed
  memory             %+.1f %% from the second quarter of the time to the last
  heap               %+.1f %%
  goroutines         %+.1f %%
under attack (a tenth of the load; %d bad sign-ins)
  refreshes failed   %d
  p50                %s, before %s
  p99                %s, before %s: %.2f times
`, r.Rate, r.Most, r.Refreshes, r.Errors, 100*memory, 100*heap, 100*goroutines,
		r.SignIns, r.AttackErrors, r.Attacked.Percentile(.5), r.Quiet.Percentile(.5), r.Attacked.Percentile(.99), r.Quiet.Percentile(.99), slower)
	switch {
	case r.Errors+r.AttackErrors > 0:
		return errors.New("refreshes failed")
	case memory > mostGrowth || goroutines > mostGrowth:
		return errors.New("memory or goroutines grow")
	case slower > mostSlower:
		return errors.New("an attack makes the refreshes of others take more than twice as long")
	}
	return nil
}
