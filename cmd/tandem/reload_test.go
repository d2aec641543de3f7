//go:build unix

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/testkit/await"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
)

// A logged is what a process has written to its log, and waits for a line.
type logged struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logged) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(text)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the log has the words n times.
func (l *logged) await(t *testing.T, words string, n int) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); strings.Count(l.String(), words) < n; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("the log does not have %q %d times:\n%s", words, n, l.String())
		}
	}
}

// An operator edits the configuration and sends SIGHUP. What can be changed is, the log says
// what needs a restart, and a mistake in the file changes nothing. The server, which speaks
// TLS by itself, shows the renewed certificate.
func TestSettingsAreReloadedAtSIGHUP(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real process")
	}
	p := newProgram(t)
	dir := t.TempDir()
	write := func(name string, text []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	first, firstKey := certtest.Make(t, "first")
	second, secondKey := certtest.Make(t, "second")
	cert, key := write("tls.crt", first), write("tls.key", firstKey)
	base := "data: " + p.dir + "\nlisten: " + p.address + "\ntls-cert: " + cert + "\ntls-key: " + key + "\n"
	file := write("tandem.yaml", []byte(base+"allow-origin: [https://one.example.com]\n"))

	log := &logged{}
	serve := exec.CommandContext(context.Background(), p.binary, "serve", "--config", file)
	serve.Stderr = log
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	log.await(t, "msg=listening", 1)

	// ask returns whether pages of an origin are allowed, and whose certificate is shown.
	ask := func(origin string) (allowed bool, name string) {
		t.Helper()
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(first)
		roots.AppendCertsFromPEM(second)
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true} //nolint:gosec // the default version
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+p.address+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Origin", origin)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		return response.Header.Get("Access-Control-Allow-Origin") == origin, response.TLS.PeerCertificates[0].Subject.CommonName
	}
	want := func(origin, name string) {
		t.Helper()
		if allowed, got := ask(origin); !allowed || got != name {
			t.Errorf("%s is allowed: %t, certificate %q; want true and %q", origin, allowed, got, name)
		}
	}
	hangup := func() {
		t.Helper()
		if err := serve.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	want("https://one.example.com", "first")

	write("tls.crt", second)
	write("tls.key", secondKey)
	write("tandem.yaml", []byte(base+"allow-origin: [https://two.example.com]\naccess-ttl: 5m\nlog-level: debug\n"))
	hangup()
	log.await(t, "reloaded the settings", 1)
	want("https://two.example.com", "second")
	if !strings.Contains(log.String(), "restart_needed_for=--access-ttl\n") {
		t.Errorf("the log does not name what needs a restart:\n%s", log)
	}

	write("tandem.yaml", []byte(base+"allow-orign: [https://three.example.com]\n"))
	hangup()
	log.await(t, "the settings were not reloaded", 1)
	if !strings.Contains(log.String(), `did you mean \"allow-origin\"?`) {
		t.Errorf("the log does not say what is wrong:\n%s", log)
	}
	want("https://two.example.com", "second")

	health := exec.CommandContext(t.Context(), p.binary, "health", "--url", "https://"+p.address+"/readyz", "--insecure")
	if out, err := health.CombinedOutput(); err != nil {
		t.Errorf("tandem health: %v\n%s", err, out)
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, log)
	}
	if out, err := exec.CommandContext(t.Context(), p.binary, "health", "--url", "https://"+p.address+"/readyz").CombinedOutput(); err == nil {
		t.Errorf("tandem health says of a server that is gone: %s", out)
	}
}

// systemd opens the socket, starts the server with it, and is told when the server is ready,
// reloads and stops. Clients that come while the server restarts wait in the socket.
func TestUnderSystemd(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a real process")
	}
	p := newProgram(t)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file, err := socket.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(t.TempDir(), "notify")})
	if err != nil {
		t.Fatal(err)
	}
	defer notify.Close()
	told := func(want ...string) {
		t.Helper()
		_ = notify.SetReadDeadline(time.Now().Add(30 * time.Second))
		text := make([]byte, 4096)
		n, err := notify.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !strings.Contains(string(text[:n]), line) {
				t.Errorf("systemd was told %q, want %q", text[:n], line)
			}
		}
	}
	log := &logged{}
	// A shell sets LISTEN_PID to the process that it becomes, as systemd does.
	serve := exec.CommandContext(context.Background(), "/bin/sh", "-c",
		`LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --listen systemd --data "$1"`, p.binary, p.dir)
	serve.Stderr = log
	serve.ExtraFiles = []*os.File{file} // descriptor 3
	serve.Env = append(os.Environ(), "NOTIFY_SOCKET="+notify.LocalAddr().String())
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		_ = serve.Wait()
	})
	told("READY=1")
	if err := await.OK("http://" + socket.Addr().String() + "/readyz"); err != nil {
		t.Fatal(err)
	}
	if err := serve.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	told("RELOADING=1", "MONOTONIC_USEC=")
	told("READY=1")
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	told("STOPPING=1")
	if err := serve.Wait(); err != nil {
		t.Errorf("the server ended with %v:\n%s", err, log)
	}

	alone := exec.CommandContext(t.Context(), p.binary, "serve", "--listen", "systemd", "--data", p.dir)
	if out, err := alone.CombinedOutput(); err == nil || !strings.Contains(string(out), "start the server by a .socket unit with one ListenStream") {
		t.Errorf("without systemd: %v\n%s", err, out)
	}
}
