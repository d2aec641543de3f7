//go:build unix

package certfile_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tandem-auth/tandem/internal/certfile"
	"github.com/tandem-auth/tandem/internal/testkit/certtest"
)

// While one handshake reads files from a disk that hangs, all others go on with the
// certificate before.
func TestADiskThatHangs(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	certText, keyText := certtest.Make(t, "first")
	for path, text := range map[string][]byte{cert: certText, key: keyText} {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, err := certfile.Open(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	p.SetNow(func() time.Time { return time.Now().Add(time.Minute) })
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(key, 0o600); err != nil {
		t.Fatal(err)
	}
	slow := make(chan string)
	go func() { slow <- served(t, p) }()
	disk, err := os.OpenFile(key, os.O_WRONLY, 0) // waits until the handshake reads
	if err != nil {
		t.Fatal(err)
	}
	if got := served(t, p); got != "first" {
		t.Errorf("the certificate of %q is served", got)
	}
	if err := disk.Close(); err != nil {
		t.Fatal(err)
	}
	if got := <-slow; got != "first" {
		t.Errorf("the slow handshake got the certificate of %q", got)
	}
}
