package bench

import (
	"fmt"
	"io"
	"time"
)

// Config sets which servers Run measures, for how long and with how many clients.
type Config struct {
	// Clients is the number of clients, each with a session of its own.
	Clients int
	// Rounds is how often Run measures each server.
	Rounds int
	// Warmup is how long the clients refresh before a measurement counts.
	Warmup time.Duration
	// Measured is how long a measurement takes.
	Measured time.Duration
	// Only lists the servers to measure, by keys from Keys. An empty list means all.
	Only []string
	// Progress receives a line for each step. Nil means none.
	Progress io.Writer
}

// Bounds on a run, so that it neither fills the memory nor takes hours.
const (
	mostClients    = 256
	mostRounds     = 50
	mostTime       = time.Minute
	mostPerClient  = 1 << 20 // refreshes in one measurement
	startTimeout   = time.Minute
	requestTimeout = 30 * time.Second
	stopTimeout    = 30 * time.Second
)

func (c Config) check() error {
	switch {
	case c.Clients < 1 || c.Clients > mostClients:
		return fmt.Errorf("clients: %d is not within 1 and %d", c.Clients, mostClients)
	case c.Rounds < 1 || c.Rounds > mostRounds:
		return fmt.Errorf("rounds: %d is not within 1 and %d", c.Rounds, mostRounds)
	case c.Warmup < 0 || c.Warmup > mostTime:
		return fmt.Errorf("warm-up: %s is not within 0s and %s", c.Warmup, mostTime)
	case c.Measured <= 0 || c.Measured > mostTime:
		return fmt.Errorf("measured time: %s is not within 0s and %s", c.Measured, mostTime)
	}
	for _, key := range c.Only {
		if !isKey(key) {
			return fmt.Errorf("there is no server %q; there are %v", key, Keys())
		}
	}
	return nil
}

func (c Config) progress(format string, args ...any) {
	if c.Progress != nil {
		fmt.Fprintf(c.Progress, format+"\n", args...)
	}
}
