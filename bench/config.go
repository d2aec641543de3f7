package bench

import (
	"fmt"
	"io"
	"time"
)

// Config says how long and with what the servers are measured.
type Config struct {
	// Clients is how many there are, each with a session of its own.
	Clients int
	// Rounds is how often each server is measured.
	Rounds int
	// Warmup is the time before a measurement in which nothing is counted.
	Warmup time.Duration
	// Measured is how long a measurement takes.
	Measured time.Duration
	// Only has the keys of the servers to measure, from Keys. None means all.
	Only []string
	// Progress is told what is under way. Nil means nobody is.
	Progress io.Writer
}

// Bounds on a run: it must not fill the memory, nor take the machine for hours.
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
