//go:build unix

package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tandem-auth/tandem"
	"github.com/tandem-auth/tandem/internal/faultproxy"
	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/built"
)

const refreshPath = "/auth/refresh-token"

// The server is killed when it has committed a refresh and before its reply
// arrives. The client goes on without a new sign-in.
func TestAServerKilledBetweenCommitAndReply(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	p := newProgram(t)
	server := p.start(t)

	var logins, lost atomic.Int64
	kill := func(r *http.Request) {
		if r.URL.Path == refreshPath && lost.CompareAndSwap(0, 1) {
			_ = server.Process.Kill()
		}
	}
	fault := func(r *http.Request) faultproxy.Fault {
		switch {
		case r.URL.Path == "/auth/login":
			logins.Add(1)
		case r.URL.Path == refreshPath && lost.Load() == 0:
			return faultproxy.DropReply
		}
		return faultproxy.None
	}
	proxy, err := faultproxy.Start("http://"+p.address, fault, kill)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	var ends atomic.Int64
	session, err := tandem.Open(t.Context(), tandem.NewMemoryStore(), tandem.Config{
		URL:       proxy.URL(),
		Transport: transport,
		OnEnd:     func(context.Context, *tandem.Session, *tandem.EndedError) { ends.Add(1) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", p.password); err != nil {
		t.Fatal(err)
	}
	before, err := session.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	session.Invalidate(before)
	if _, err := session.Token(t.Context()); err == nil {
		t.Fatal("there was a token though the server was killed: the reply cannot have been lost")
	}
	if err := server.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Fatalf("the server was not killed: %v", err)
	}
	p.start(t)

	resp, err := retry(t, session.Client(), proxy.URL()+"/auth/me")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("status %d", resp.StatusCode)
	}
	if lost.Load() != 1 || logins.Load() != 1 || ends.Load() != 0 {
		t.Errorf("%d replies lost, %d sign-ins, %d ends; want 1, 1 and 0", lost.Load(), logins.Load(), ends.Load())
	}
}

// A sign-out that was answered stays one, though the server is killed at that
// very moment.
func TestASignOutThatWasAnsweredSurvivesAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	p := newProgram(t)
	server := p.start(t)
	kill := func(r *http.Request) {
		if r.URL.Path == "/auth/logout" {
			_ = server.Process.Kill()
		}
	}
	proxy, err := faultproxy.Start("http://"+p.address, func(*http.Request) faultproxy.Fault { return faultproxy.None }, kill)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	store := tandem.NewMemoryStore()
	session, err := tandem.Open(t.Context(), store, tandem.Config{URL: proxy.URL(), Transport: transport})
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	if err := session.SignIn(t.Context(), "ann", p.password); err != nil {
		t.Fatal(err)
	}
	pair, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := session.SignOut(t.Context()); err != nil {
		t.Fatal(err)
	}
	_ = server.Wait()
	p.start(t)
	status, body, err := request(t.Context(), http.MethodPost, proxy.URL()+refreshPath, `{"refreshToken":"`+pair.RefreshToken+`"}`)
	if err != nil || status != http.StatusBadRequest || !strings.Contains(body, "signed_out") {
		t.Errorf("a refresh after the sign-out: %d, %v", status, err)
	}
}

// retry makes a request until the network lets it through.
func retry(t *testing.T, client *http.Client, url string) (*http.Response, error) {
	t.Helper()
	for {
		resp, err := client.Get(url)
		var temporary *tandem.TemporaryError
		if !errors.As(err, &temporary) {
			return resp, err
		}
		select {
		case <-time.After(time.Until(temporary.RetryAt)):
		case <-t.Context().Done():
			return nil, err
		}
	}
}

// A program is the real binary, with a folder and an address of its own and the
// user ann.
type program struct{ binary, dir, address, password string }

func newProgram(t *testing.T) program {
	t.Helper()
	p := program{
		binary:   built.Tandem(t),
		dir:      filepath.Join(t.TempDir(), "data"),
		password: "correct horse",
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.address = l.Addr().String()
	_ = l.Close()
	add := exec.CommandContext(t.Context(), p.binary, "user", "add", "ann", "--data", p.dir)
	add.Stdin = strings.NewReader(p.password)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return p
}

// start starts the server and waits until it is ready.
func (p program) start(t *testing.T) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), p.binary, "serve", "--data", p.dir, "--listen", p.address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	if err := await.OK("http://" + p.address + "/readyz"); err != nil {
		t.Fatal(err)
	}
	return cmd
}
