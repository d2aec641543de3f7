package certfile_test

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tandem-auth/tandem/internal/certfile"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
)

// served returns the name on the certificate that a handshake shows.
func served(t *testing.T, p *certfile.Pair) string {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	done := make(chan error, 1)
	go func() { done <- tls.Server(server, p.Config()).Handshake() }()
	conn := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // only the name matters
	if err := conn.Handshake(); err != nil {
		t.Error(err)
		return ""
	}
	if err := <-done; err != nil {
		t.Error(err)
		return ""
	}
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// A certificate is renewed in place, or, as Kubernetes does, by a link to another folder.
// Until the files are a pair again, the server shows the certificate before.
func TestARenewedCertificateIsServed(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	first, firstKey := certtest.Make(t, "first")
	second, secondKey := certtest.Make(t, "second")
	third, thirdKey := certtest.Make(t, "third")
	write := func(path string, text []byte) {
		t.Helper()
		if err := os.WriteFile(path+".new", text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
	write(cert, first)
	write(key, firstKey)
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		p, err := certfile.Open(cert, key, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		want := func(name string) {
			t.Helper()
			if got := served(t, p); got != name {
				t.Errorf("the certificate of %q is served, want that of %q", got, name)
			}
		}
		want("first")
		write(cert, second)
		want("first") // it was read a moment ago
		time.Sleep(6 * time.Second)
		want("first") // the key is still the old one
		time.Sleep(6 * time.Second)
		want("first")
		if n := strings.Count(log.String(), "cannot read the renewed TLS certificate"); n != 1 {
			t.Errorf("%d warnings, want 1:\n%s", n, log.String())
		}
		write(key, secondKey)
		time.Sleep(6 * time.Second)
		want("second")

		write(cert, third)
		write(key, thirdKey)
		if err := p.Reload(); err != nil { // SIGHUP
			t.Fatal(err)
		}
		want("third")
		write(cert, []byte("no certificate"))
		if err := p.Reload(); err == nil || !strings.Contains(err.Error(), cert) {
			t.Errorf("a broken file: %v", err)
		}
		want("third")
		if names := p.Names(); len(names) == 0 || names[0] != "localhost" || p.NotAfter().IsZero() {
			t.Errorf("names %q, expires %v", names, p.NotAfter())
		}
	})
}

func TestFilesThatAreNoPair(t *testing.T) {
	dir := t.TempDir()
	cert, _ := certtest.Make(t, "one")
	_, key := certtest.Make(t, "another")
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	if _, err := certfile.Open(certFile, keyFile, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), certFile) {
		t.Errorf("no file: %v", err)
	}
	for path, text := range map[string][]byte{certFile: cert, keyFile: key} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := certfile.Open(certFile, keyFile, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "private key does not match public key") {
		t.Errorf("the key of another: %v", err)
	}
}
