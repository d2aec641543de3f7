// Package soak runs the real server for a while at half of the load that it can take, and
// looks at what grows. Then it plays an attack, and looks at how long the refreshes of others
// take meanwhile.
package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// A Config says how a run goes.
type Config struct {
	// Server is the binary, and Folder a folder for its data.
	Server, Folder string
	// Attacker is a command that calls [Attacker].
	Attacker []string
	// For is how long the run at half load lasts, and Attack how long the attack does, and the
	// quiet time before it with which it is compared.
	For, Attack time.Duration
	// Sessions is how many sessions are refreshed, and Slow how many slow connections there are
	// in the attack.
	Sessions, Slow int
	// Progress is told how far the run is. Optional.
	Progress func(format string, args ...any)
}

// A Report is what a run has found.
type Report struct {
	// Most is how many refreshes a second the server took with nothing between them, and Rate
	// how many it got in the run at half load.
	Most, Rate float64
	// Refreshes is how many there were at half load, and Errors how many failed.
	Refreshes, Errors int
	// Samples are of the server at half load.
	Samples []Sample
	// Quiet and Attacked are the times of refreshes at a tenth of the load, before and during
	// the attack. AttackErrors is how many failed.
	Quiet, Attacked Times
	AttackErrors    int
	// SignIns is how many bad sign-ins the attack made.
	SignIns int
}

// A Sample is of the server at a moment.
type Sample struct {
	At         time.Duration
	Memory     int64 // bytes, resident
	Heap       int64 // bytes in use after the last collection
	Goroutines int
	Files      int
}

// Growth returns by which part memory, heap and goroutines have grown from the second quarter of the
// run to its last: 0.1 is 10 %.
func (r Report) Growth() (memory, heap, goroutines float64) {
	n := len(r.Samples)
	if n < 8 {
		return 0, 0, 0
	}
	mean := func(samples []Sample, value func(Sample) float64) float64 {
		sum := 0.0
		for _, s := range samples {
			sum += value(s)
		}
		return sum / float64(len(samples))
	}
	growth := func(value func(Sample) float64) float64 {
		return mean(r.Samples[n*3/4:], value)/mean(r.Samples[n/4:n/2], value) - 1
	}
	return growth(func(s Sample) float64 { return float64(s.Memory) }),
		growth(func(s Sample) float64 { return float64(s.Heap) }),
		growth(func(s Sample) float64 { return float64(s.Goroutines) })
}

// sampleEvery is between two samples.
const sampleEvery = 5 * time.Second

// Run runs the server, the load and the attack.
func Run(ctx context.Context, c Config) (report Report, err error) {
	if c.Progress == nil {
		c.Progress = func(string, ...any) {}
	}
	s, err := start(ctx, c)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	load, err := newLoad(ctx, s.url, c.Sessions)
	if err != nil {
		return Report{}, err
	}
	defer load.close()

	warm, _ := load.run(ctx, min(c.For/10, 5*time.Second), 0)
	full, _ := load.run(ctx, min(c.For/10, 10*time.Second), 0)
	report.Most = full.rate()
	report.Rate = report.Most / 2
	c.Progress("%d refreshes to warm up; the server takes %.0f a second; going on with half of that for %s", len(warm.took), report.Most, c.For)

	sampled := make(chan []Sample)
	sampling, stop := context.WithCancel(ctx)
	go func() { sampled <- s.sample(sampling, c) }()
	half, failed := load.run(ctx, c.For, report.Rate)
	stop()
	report.Samples = <-sampled
	report.Refreshes, report.Errors, report.Rate = len(half.took), failed, half.rate()

	tenth := report.Most / 10
	c.Progress("quiet: %.0f refreshes a second for %s", tenth, c.Attack)
	report.Quiet, failed = load.run(ctx, c.Attack, tenth)
	report.AttackErrors = failed
	c.Progress("attack: %d slow connections and a flood of bad sign-ins for %s", c.Slow, c.Attack)
	attack, err := s.startAttack(ctx, c.Attacker, c.Slow)
	if err != nil {
		return Report{}, err
	}
	report.Attacked, failed = load.run(ctx, c.Attack, tenth)
	report.AttackErrors += failed
	if report.SignIns, err = attack(); err != nil {
		return Report{}, err
	}
	return report, ctx.Err()
}

// A process is the server.
type process struct {
	cmd          *exec.Cmd
	url, metrics string
	address      string
}

const password = "correct horse"

func start(ctx context.Context, c Config) (*process, error) {
	data := filepath.Join(c.Folder, "data")
	add := exec.CommandContext(ctx, c.Server, "user", "add", "ann", "--data", data)
	add.Stdin = strings.NewReader(password)
	if out, err := add.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("add a user: %w: %s", err, out)
	}
	address, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	metrics, err := freeAddress(ctx)
	if err != nil {
		return nil, err
	}
	p := &process{address: address, url: "http://" + address, metrics: "http://" + metrics + "/metrics"}
	// Without a limit of sessions one user has them all; the log tells of errors alone.
	p.cmd = exec.Command(c.Server, "serve", "--data", data, "--listen", address, "--metrics", metrics, //nolint:noctx // stop ends it
		"--max-sessions", "0", "--log-level", "error", "--issuer", "http://"+address)
	p.cmd.Stderr = os.Stderr
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := p.read(ctx); err == nil {
			return p, nil
		} else if time.Now().After(deadline) {
			return nil, errors.Join(fmt.Errorf("the server does not start: %w", err), p.stop())
		}
	}
}

func freeAddress(ctx context.Context) (string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (p *process) stop() error {
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		return err
	}
	return p.cmd.Wait()
}

// sample takes samples until the context ends.
func (p *process) sample(ctx context.Context, c Config) []Sample {
	var samples []Sample
	began := time.Now()
	tick := time.NewTicker(min(sampleEvery, c.For/20))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return samples
		case <-tick.C:
		}
		values, err := p.read(ctx)
		if err != nil {
			continue
		}
		s := Sample{
			At: time.Since(began), Memory: int64(values["process_resident_memory_bytes"]), Heap: int64(values["go_memstats_heap_inuse_bytes"]),
			Goroutines: int(values["go_goroutines"]), Files: int(values["process_open_fds"]),
		}
		samples = append(samples, s)
		if len(samples)%12 == 0 {
			c.Progress("%4.0f s: %d MB, %d goroutines, %d files", s.At.Seconds(), s.Memory>>20, s.Goroutines, s.Files)
		}
	}
}

// read reads the metrics without labels.
func (p *process) read(ctx context.Context) (map[string]float64, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.metrics, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			if v, err := strconv.ParseFloat(value, 64); err == nil {
				values[name] = v
			}
		}
	}
	return values, nil
}
