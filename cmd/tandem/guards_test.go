//go:build unix

package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/engines"
	"github.com/tandem-auth/tandem/internal/testkit/engines/enginetest"
	"github.com/tandem-auth/tandem/resource"
)

// A hundred guards follow two servers, real processes, that share a store. Sessions end,
// now on one server and now on the other, and half way through one server is killed. Every
// guard refuses every session that has ended, and none that has not.
func TestAHundredGuards(t *testing.T) {
	const guards, sessions = 100, 40
	binary := realBinary(t)
	e := enginetest.Postgres(t, engines.NoFsync)
	f := newFleet(t, binary, enginetest.Database(t, e), 2)
	secret := filepath.Join(t.TempDir(), "secret")
	add := exec.CommandContext(t.Context(), binary, "client", "add", "shop", "--introspect", "--secret-file", secret)
	add.Env = f.env
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	text, err := os.ReadFile(secret)
	if err != nil {
		t.Fatal(err)
	}
	all := make([]*resource.Guard, guards)
	for i := range all {
		all[i], err = resource.New(resource.Config{
			Issuer: fleetURL, Client: &http.Client{Transport: f},
			Feed: &resource.Feed{ClientID: "shop", Secret: strings.TrimSpace(string(text)), RefuseIfOld: true},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = all[i].Close() })
	}
	eventually(t, "all guards follow", func() bool {
		return !slices.ContainsFunc(all, func(g *resource.Guard) bool { return g.FeedAge() > time.Minute })
	})

	var ends atomic.Int64
	var took []time.Duration
	stays, _ := f.open(t, &ends)
	staying, err := stays.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range sessions {
		if n == sessions/2 {
			if err := f.servers[0].cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = f.servers[0].cmd.Wait()
			f.base.CloseIdleConnections() // a sign-in on one of them would fail, and is not for the client to repeat
			// The guards that followed it find the other one.
			eventually(t, "all guards follow the other server", func() bool {
				return !slices.ContainsFunc(all, func(g *resource.Guard) bool { return g.FeedAge() > 3*time.Second })
			})
		}
		session, _ := f.open(t, &ends)
		token, err := session.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range all {
			if _, err := g.Verify(t.Context(), token); err != nil {
				t.Fatalf("a session that lives is refused: %v", err)
			}
		}
		if err := session.SignOut(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		var mu sync.Mutex
		var heard sync.WaitGroup
		for _, g := range all {
			heard.Go(func() {
				eventually(t, "a guard hears of the end", func() bool {
					_, err := g.Verify(t.Context(), token)
					return err != nil
				})
				mu.Lock()
				defer mu.Unlock()
				took = append(took, time.Since(began))
			})
		}
		heard.Wait()
	}
	for i, g := range all {
		if _, err := g.Verify(t.Context(), staying); err != nil {
			t.Errorf("guard %d refuses the session that lives: %v", i, err)
		}
	}
	slices.Sort(took)
	at := func(share float64) time.Duration {
		return took[int(share*float64(len(took)-1))].Round(time.Millisecond)
	}
	t.Logf("%d ends at %d guards: p50 %v, p99 %v, longest %v", sessions, guards, at(0.5), at(0.99), at(1))
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Error(fmt.Errorf("%s: not within a minute", what))
			return
		}
	}
}
