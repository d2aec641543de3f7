//go:build unix

package main

import (
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
	"syscall"
	"testing"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/built"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/keys"
)

// A fleet is servers, real processes, that share a store, and the network before
// them: every request goes to the next one.
type fleet struct {
	binary  string
	env     []string
	servers []*member
	next    atomic.Int64
	base    *http.Transport
}

type member struct {
	address string
	cmd     *exec.Cmd
	gone    atomic.Bool
}

const (
	fleetURL      = "http://tandem.test"
	fleetPassword = "correct horse"
)

func newFleet(t *testing.T, binary, store string, size int) *fleet {
	t.Helper()
	master, err := keys.NewMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{
		binary: binary,
		env:    append(os.Environ(), "TANDEM_STORE="+store, "TANDEM_MASTER_KEY="+string(master.Marshal()), "TANDEM_ISSUER="+fleetURL),
		base:   &http.Transport{},
	}
	t.Cleanup(f.base.CloseIdleConnections)
	add := exec.CommandContext(t.Context(), binary, "user", "add", "ann")
	add.Env, add.Stdin = f.env, strings.NewReader(fleetPassword)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var starts sync.WaitGroup
	f.servers = make([]*member, size, size+1)
	for i := range f.servers {
		starts.Go(func() { f.servers[i] = f.start(t) }) // at once, on a store without keys
	}
	starts.Wait()
	return f
}

// start starts a server and waits until it is ready. A fork is to be seen at once, so
// there is no leeway.
func (f *fleet) start(t *testing.T) *member {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Error(err)
		return nil
	}
	m := &member{address: l.Addr().String()}
	_ = l.Close()
	m.cmd = exec.CommandContext(context.Background(), f.binary, "serve", "--listen", m.address, "--leeway", "0s")
	m.cmd.Env, m.cmd.Stderr = f.env, t.Output()
	if err := m.cmd.Start(); err != nil {
		t.Error(err)
		return nil
	}
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait()
	})
	if err := await.OK("http://" + m.address + "/readyz"); err != nil {
		t.Error(err)
	}
	return m
}

// RoundTrip sends a request to the next server, and to the one after it if nobody
// listens there, as a load balancer does.
func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	for {
		m := f.servers[int(f.next.Add(1))%len(f.servers)]
		if m.gone.Load() {
			continue
		}
		hop := r.Clone(r.Context())
		hop.URL.Host = m.address
		resp, err := f.base.RoundTrip(hop)
		if errors.Is(err, syscall.ECONNREFUSED) {
			m.gone.Store(true)
			continue
		}
		return resp, err
	}
}

func (f *fleet) open(t *testing.T, ends *atomic.Int64) (*tandem.Session, *tandem.MemoryStore) {
	t.Helper()
	store := tandem.NewMemoryStore()
	session, err := tandem.Open(t.Context(), store, tandem.Config{
		URL: fleetURL, Transport: f,
		OnEnd: func(context.Context, *tandem.Session, *tandem.EndedError) { ends.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = session.Close() })
	if err := session.SignIn(t.Context(), "ann", fleetPassword); err != nil {
		t.Fatal(err)
	}
	return session, store
}

// hop refreshes, and uses the new token with another server.
func hop(t *testing.T, session *tandem.Session) {
	token, err := session.Token(t.Context())
	if err == nil {
		session.Invalidate(token)
	}
	resp, err := retry(t, session.Client(), fleetURL+"/auth/me")
	if errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) { // under way with the one that was killed
		resp, err = retry(t, session.Client(), fleetURL+"/auth/me")
	}
	if err != nil {
		t.Error(err)
		return
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
}

// realBinary returns the real binary, unless tests are to be short.
func realBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	return built.Tandem(t)
}

// Sessions hop between servers at every request while one of these is killed and
// another added: nobody is signed out, and a thief who hops as well is seen.
func TestAFleetOnOneStore(t *testing.T) {
	binary := realBinary(t)
	stores := map[string]func(t *testing.T) string{
		"PostgreSQL": func(t *testing.T) string { return enginetest.Database(t, enginetest.Postgres(t)) },
		"Redis":      func(t *testing.T) string { return enginetest.Redis(t, "--appendonly", "yes").URL() },
	}
	for name, newStore := range stores {
		for _, size := range []int{2, 4} {
			t.Run(fmt.Sprintf("%d servers on one %s", size, name), func(t *testing.T) {
				f := newFleet(t, binary, newStore(t), size)
				var ends atomic.Int64
				const sessions, rounds, hops = 8, 3, 10
				var all []*tandem.Session
				for range sessions {
					session, _ := f.open(t, &ends)
					all = append(all, session)
				}
				for round := range rounds {
					var running sync.WaitGroup
					for _, session := range all {
						running.Go(func() {
							for range hops {
								hop(t, session)
							}
						})
					}
					if round == 1 { // in the middle of it
						_ = f.servers[0].cmd.Process.Kill()
					}
					running.Wait()
					if round == 1 {
						f.servers = append(f.servers, f.start(t))
					}
				}
				if ends.Load() != 0 {
					t.Errorf("%d sessions ended by themselves", ends.Load())
				}
				f.wantTheftSeen(t)
			})
		}
	}
}

// wantTheftSeen has a thief copy a token, and both parties go on.
func (f *fleet) wantTheftSeen(t *testing.T) {
	t.Helper()
	var ends atomic.Int64
	victim, store := f.open(t, &ends)
	pair, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stolen := tandem.NewMemoryStore()
	if _, err := stolen.CompareAndSwap(t.Context(), tandem.Pair{}, pair); err != nil {
		t.Fatal(err)
	}
	thief, err := tandem.Open(t.Context(), stolen, tandem.Config{URL: fleetURL, Transport: f})
	if err != nil {
		t.Fatal(err)
	}
	defer thief.Close()
	for range 3 {
		for _, party := range []*tandem.Session{thief, victim} {
			if token, err := party.Token(t.Context()); err == nil {
				party.Invalidate(token)
			}
			_, _ = party.Token(t.Context())
		}
	}
	for name, party := range map[string]*tandem.Session{"thief": thief, "victim": victim} {
		var ended *tandem.EndedError
		if _, err := party.Token(t.Context()); !errors.As(err, &ended) || ended.Reason != "reuse_detected" {
			t.Errorf("the %s: %v, want the session ended by reuse", name, err)
		}
	}
}
