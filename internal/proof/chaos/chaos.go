// Package chaos kills the real server repeatedly while client processes use it over a
// loopback network that drops and refuses connections. Afterwards no user may have been
// signed out by mistake, and every session that a user signed out must still be signed
// out.
package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tandem-auth/tandem/internal/faultproxy"
)

// Config says how long and how hard a run is.
type Config struct {
	// Server is the path of the tandem binary.
	Server string
	// Client is the command of a client process: a program that calls [Client].
	Client []string
	// Folder is for the server's data.
	Folder string
	// Clients is the number of client processes; Kills is how often the server is killed.
	Clients, Kills int
	// Progress is called after each kill. Optional.
	Progress func(kills int)
}

// A Report counts what the client processes have seen.
type Report struct {
	Calls     int64 `json:"calls"`
	Refreshes int64 `json:"refreshes"`
	Temporary int64 `json:"temporary"`
	SignIns   int64 `json:"signIns"`
	// SignOuts counts the sign-outs that the server answered: their sessions must stay
	// ended.
	SignOuts int64 `json:"signOuts"`
	// CameBack counts the sessions that were signed out and later worked again.
	CameBack int64 `json:"cameBack"`
	// FalseLogouts counts the sessions that ended though nobody had ended them.
	FalseLogouts int64 `json:"falseLogouts"`

	Kills  int   `json:"-"`
	Faults int64 `json:"-"`
}

// OK reports whether nothing went wrong and enough happened to prove it.
func (r Report) OK() bool {
	return r.FalseLogouts == 0 && r.CameBack == 0 && r.Refreshes > 0 && r.SignOuts > 0
}

func (r *Report) add(other Report) {
	r.Calls += other.Calls
	r.Refreshes += other.Refreshes
	r.Temporary += other.Temporary
	r.SignIns += other.SignIns
	r.SignOuts += other.SignOuts
	r.CameBack += other.CameBack
	r.FalseLogouts += other.FalseLogouts
}

// The user that all clients sign in as.
const (
	username = "ann"
	password = "correct horse"
)

const (
	// mostBetweenKills is the longest that a server lives.
	mostBetweenKills = 800 * time.Millisecond
	startTimeout     = 30 * time.Second
	faultRate        = 0.15
)

// An arena is the server and the network in front of it.
type arena struct {
	config  Config
	address string
	server  *exec.Cmd
	faults  atomic.Int64
	calm    atomic.Bool
}

// Run plays the whole run. The error says what stopped the run; the report has the broken
// promises.
func Run(ctx context.Context, config Config) (_ Report, err error) {
	a := &arena{config: config}
	if a.address, err = freeAddress(ctx); err != nil {
		return Report{}, err
	}
	if err := a.addUser(ctx); err != nil {
		return Report{}, err
	}
	if err := a.start(ctx); err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, a.kill()) }()
	proxy, err := faultproxy.Start("http://"+a.address, a.fault, nil)
	if err != nil {
		return Report{}, err
	}
	defer func() { err = errors.Join(err, proxy.Close()) }()

	clients, err := a.startClients(ctx, proxy.URL())
	if err != nil {
		return Report{}, err
	}
	if err := a.killAgainAndAgain(ctx); err != nil {
		return Report{}, err
	}
	a.calm.Store(true) // so that the network does not fail the clients' last calls
	report := Report{Kills: config.Kills}
	for _, c := range clients {
		r, err := c.finish()
		if err != nil {
			return Report{}, err
		}
		report.add(r)
	}
	report.Faults = a.faults.Load()
	return report, nil
}

func (a *arena) killAgainAndAgain(ctx context.Context) error {
	for n := range a.config.Kills {
		timer := time.NewTimer(rand.N(mostBetweenKills))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		if err := a.kill(); err != nil {
			return err
		}
		if err := a.start(ctx); err != nil {
			return err
		}
		if a.config.Progress != nil {
			a.config.Progress(n + 1)
		}
	}
	return nil
}

func (a *arena) fault(*http.Request) faultproxy.Fault {
	if a.calm.Load() || rand.Float64() >= faultRate {
		return faultproxy.None
	}
	a.faults.Add(1)
	return []faultproxy.Fault{faultproxy.DropRequest, faultproxy.DropReply, faultproxy.Unavailable}[rand.IntN(3)]
}

func (a *arena) data() string { return filepath.Join(a.config.Folder, "data") }

func (a *arena) addUser(ctx context.Context) error {
	add := exec.CommandContext(ctx, a.config.Server, "user", "add", username, "--data", a.data())
	add.Stdin = strings.NewReader(password)
	if out, err := add.CombinedOutput(); err != nil {
		return fmt.Errorf("add a user: %w\n%s", err, out)
	}
	return nil
}

// start starts the server and waits until it is ready.
func (a *arena) start(ctx context.Context) error {
	a.server = exec.CommandContext(ctx, a.config.Server, "serve",
		"--data", a.data(), "--listen", a.address, "--access-ttl", "1s", "--log-level", "error")
	a.server.Stderr = os.Stderr
	if err := a.server.Start(); err != nil {
		return fmt.Errorf("start the server: %w", err)
	}
	deadline := time.Now().Add(startTimeout)
	for !a.ready(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the server was not ready after %s", startTimeout)
		}
	}
	return nil
}

func (a *arena) ready(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+a.address+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill kills the server with SIGKILL. It may be called twice.
func (a *arena) kill() error {
	err := a.server.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	_ = a.server.Wait() // the error is that of the kill
	return err
}

// A clientProcess runs until its standard input ends, and prints a report.
type clientProcess struct {
	cmd   *exec.Cmd
	stdin interface{ Close() error }
	out   strings.Builder
}

func (a *arena) startClients(ctx context.Context, url string) ([]*clientProcess, error) {
	var clients []*clientProcess
	for range a.config.Clients {
		c := &clientProcess{cmd: exec.CommandContext(ctx, a.config.Client[0], append(a.config.Client[1:], url)...)}
		c.cmd.Env = append(os.Environ(), ClientEnv+"=1")
		c.cmd.Stdout, c.cmd.Stderr = &c.out, os.Stderr
		stdin, err := c.cmd.StdinPipe()
		if err != nil {
			return nil, err
		}
		c.stdin = stdin
		if err := c.cmd.Start(); err != nil {
			return nil, fmt.Errorf("start a client: %w", err)
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func (c *clientProcess) finish() (Report, error) {
	if err := c.stdin.Close(); err != nil {
		return Report{}, err
	}
	if err := c.cmd.Wait(); err != nil {
		return Report{}, fmt.Errorf("a client process: %w", err)
	}
	var r Report
	if err := json.Unmarshal([]byte(c.out.String()), &r); err != nil {
		return Report{}, fmt.Errorf("the report of a client process: %w", err)
	}
	return r, nil
}

func freeAddress(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
