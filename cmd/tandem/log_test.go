//go:build unix

package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/await"
)

// A server whose log nobody reads any more goes on, whether the reader has gone away or
// holds the pipe and stalls; and it ends in good order.
func TestAServerWhoseLogNobodyReads(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes again and again")
	}
	p := newProgram(t)
	for name, prepare := range map[string]func(read *os.File){
		"gone":    func(read *os.File) { _ = read.Close() },
		"stalled": func(*os.File) {},
	} {
		t.Run(name, func(t *testing.T) {
			read, write, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer read.Close()
			server := exec.CommandContext(context.Background(), p.binary, "serve", "--data", p.dir, "--listen", p.address, "--log-level", "debug")
			server.Stdout, server.Stderr = write, write
			err = server.Start()
			_ = write.Close()
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- server.Wait() }()
			defer func() { _ = server.Process.Kill() }()
			if err := await.OK("http://" + p.address + "/readyz"); err != nil {
				t.Fatal(err)
			}
			prepare(read)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for range 1000 { // each leaves a line of 100 bytes; a pipe holds 64 KiB
				status, _, err := request(ctx, http.MethodPost, "http://"+p.address+refreshPath, `{"refreshToken":"none"}`)
				if err != nil || status != http.StatusBadRequest {
					t.Fatalf("status %d, %v", status, err)
				}
				status, _, err = request(ctx, http.MethodPost, "http://"+p.address+"/auth/login", `{"username":"nobody","password":"wrong"}`)
				if err != nil || status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
					t.Fatalf("status %d, %v", status, err)
				}
			}
			if err := server.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-ctx.Done():
				t.Error("it does not stop")
			}
		})
	}
}
