package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"time"
)

// A command describes how to start a server.
type command struct {
	program string
	args    []string
	env     []string // added to this process's environment without its TANDEM_ settings
	stdin   string
}

// cmd returns a command that is interrupted when ctx ends, and killed if it still runs
// some time after that.
func (c command) cmd(ctx context.Context) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.program, c.args...) //nolint:gosec // programs that build has just built
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "TANDEM_") {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.Env = append(cmd.Env, c.env...)
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.SysProcAttr = ownGroup()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = stopTimeout
	return cmd
}

// run runs a command until it ends.
func (c command) run(ctx context.Context) error {
	if out, err := c.cmd(ctx).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return ctx.Err()
}

// A process is a running server.
type process struct {
	cmd    *exec.Cmd
	cancel context.CancelFunc
	output *output
	ended  chan struct{}
	err    error // why the process ended; valid once ended is closed
}

// start starts a server and waits until the server is ready. The server must print a
// line with address=HOST:PORT.
func (c command) start(ctx context.Context) (_ *process, err error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: c.cmd(ctx), cancel: cancel, output: &output{listens: make(chan struct{})}, ended: make(chan struct{})}
	p.cmd.Stderr = p.output
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("start a server: %w", err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	if err := p.becomesReady(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("start a server: %w", err), p.stop())
	}
	return p, nil
}

func (p *process) becomesReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-p.output.listens:
	case <-p.ended:
		return errors.New("it has ended")
	case <-ctx.Done():
		return fmt.Errorf("it does not say where it listens: %w", ctx.Err())
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := isReady(ctx, p.address())
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-p.ended:
			return errors.New("it has ended")
		case <-ctx.Done():
			return fmt.Errorf("it is not ready: %w", err)
		}
	}
}

func isReady(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		err = fmt.Errorf("/readyz answers %d", resp.StatusCode)
	}
	return errors.Join(err, resp.Body.Close())
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// address returns the address at which the server listens.
func (p *process) address() string {
	p.output.mu.Lock()
	defer p.output.mu.Unlock()
	return p.output.address
}

// stop stops the server and waits until it has ended. It returns an error if the server
// ended before, or had to be killed. It may be called twice.
func (p *process) stop() error {
	p.cancel()
	<-p.ended
	if p.err == nil || errors.Is(p.err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("a server ended with: %w\n%s", p.err, p.output.last())
}

// output reads a server's output. It keeps the last part of it, and finds the address.
type output struct {
	mu      sync.Mutex
	said    []byte
	address string
	listens chan struct{} // closed once the address is known
}

const mostOutput = 4 << 10

var addressPattern = regexp.MustCompile(`\baddress=(127\.0\.0\.1:\d+)\s`)

// Write takes in a part of the output.
func (o *output) Write(part []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said = append(o.said, part...)
	if o.address == "" {
		if found := addressPattern.FindSubmatch(o.said); found != nil {
			o.address = string(found[1])
			close(o.listens)
		}
	}
	if len(o.said) > mostOutput {
		o.said = append(o.said[:0], o.said[len(o.said)-mostOutput:]...)
	}
	return len(part), nil
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.said)
}
