package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// guessers is how many bad sign-ins are under way at once, each from an address of its own.
	guessers = 64
	// ramp is the time in which the slow connections begin. They do not begin, send and end all
	// at the same moment.
	ramp = 5 * time.Second
	// between is the time between two bytes of a slow connection.
	between = time.Second
)

// AttackerEnv is the variable of the environment that makes a program the attacker: it has the
// server's address and the number of slow connections, with a space between.
const AttackerEnv = "TANDEM_SOAK_ATTACK"

// Attacker attacks as the variable says until its standard input ends, and prints how many bad
// sign-ins there were. It prints a line first, once all slow connections have begun.
func Attacker() error {
	var p process
	var slow int
	if _, err := fmt.Sscan(os.Getenv(AttackerEnv), &p.address, &slow); err != nil {
		return fmt.Errorf("%s: %w", AttackerEnv, err)
	}
	p.url = "http://" + p.address
	stop := p.attack(context.Background(), slow)
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	fmt.Println(stop())
	return err
}

// startAttack starts the attacker in a process of its own that gives way to others: attackers
// have machines of their own. It returns a function that ends it and says how many bad sign-ins
// there were.
func (p *process) startAttack(ctx context.Context, command []string, slow int) (stop func() (int, error), err error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", AttackerEnv, p.address, slow))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	giveWay(cmd.Process.Pid)
	said := bufio.NewReader(out)
	if _, err := said.ReadString('\n'); err != nil {
		return nil, errors.Join(fmt.Errorf("the attacker has not begun: %w", err), cmd.Process.Kill(), cmd.Wait())
	}
	return func() (signIns int, err error) {
		_ = in.Close()
		_, scanErr := fmt.Fscan(said, &signIns)
		return signIns, errors.Join(scanErr, cmd.Wait())
	}, nil
}

// attack begins slow connections, one after the other, and bad sign-ins. Once all are there, it
// returns a function that ends them and says how many sign-ins there were.
func (p *process) attack(ctx context.Context, slow int) (stop func() int) {
	ctx, cancel := context.WithCancel(ctx)
	var done sync.WaitGroup
	var signIns atomic.Int64
	for i := range slow {
		done.Go(func() {
			rest(ctx, time.Duration(i)*ramp/time.Duration(slow))
			for ctx.Err() == nil {
				p.dribble(ctx, i%2 == 0)
			}
		})
	}
	for i := range guessers {
		done.Go(func() {
			client := from(i)
			defer client.CloseIdleConnections()
			for n := 0; ctx.Err() == nil; n++ {
				if p.guess(ctx, client, fmt.Sprintf("user-%d-%d", i, n)) {
					signIns.Add(1)
				}
			}
		})
	}
	rest(ctx, ramp)
	return func() int {
		cancel()
		done.Wait()
		return int(signIns.Load())
	}
}

// dribble opens a connection and sends a request byte by byte, until the server has enough of
// it: its head or, after a whole head, its body.
func (p *process) dribble(ctx context.Context, head bool) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", p.address)
	if err != nil {
		rest(ctx, between)
		return
	}
	defer conn.Close()
	text := "POST /auth/refresh-token HTTP/1.1\r\nHost: tandem\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n"
	if !head {
		if _, err := conn.Write([]byte(text + "\r\n")); err != nil {
			return
		}
		text = `{"refreshToken":"` + strings.Repeat("x", 900)
	}
	tick := time.NewTicker(between)
	defer tick.Stop()
	for _, b := range []byte(text) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := conn.Write([]byte{b}); err != nil {
			return
		}
	}
}

// from returns a client with a loopback address of its own, where the system has such.
func from(i int) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i>>8), byte(i+1))}}
	return &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}, Timeout: 15 * time.Second}
}

// guess makes a bad sign-in, and reports whether it was answered.
func (p *process) guess(ctx context.Context, client *http.Client, name string) bool {
	body := fmt.Sprintf(`{"username":%q,"password":"wrong password"}`, name)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url+"/auth/login", strings.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized { // limited: as a person's program would, wait a little
		rest(ctx, 20*time.Millisecond)
	}
	return true
}

// rest waits for a while, or until the context ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
