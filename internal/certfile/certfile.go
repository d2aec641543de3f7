// Package certfile serves TLS with a certificate in files that another program renews.
package certfile

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is the shortest time between two looks at the files.
const lookEvery = 5 * time.Second

// A Pair is a certificate and its key in two PEM files. It reads them again when they have
// changed, at a handshake, so that it needs no goroutine. While the files are not a pair, as
// in the middle of a renewal, it keeps the last good one. It is safe for concurrent use.
type Pair struct {
	certFile, keyFile string
	logger            *slog.Logger
	now               func() time.Time

	current atomic.Pointer[tls.Certificate]

	// reading is held by whoever looks at the files. A handshake that would have to wait for
	// it takes the current certificate. It guards what follows.
	reading sync.Mutex
	looked  time.Time
	seen    [2]version
	failing bool
}

// A version tells whether a file has changed.
type version struct {
	modified time.Time
	size     int64
	file     fs.FileInfo
}

func (v version) same(other version) bool {
	return v.modified.Equal(other.modified) && v.size == other.size && os.SameFile(v.file, other.file)
}

// Open reads the pair. certFile has the certificate of the server first, then those of the
// authorities between it and the root.
func Open(certFile, keyFile string, logger *slog.Logger) (*Pair, error) {
	p := &Pair{certFile: certFile, keyFile: keyFile, logger: logger, now: time.Now}
	if err := p.read(); err != nil {
		return nil, err
	}
	p.looked = p.now()
	return p, nil
}

// Reload reads the files now. If it fails, the pair serves the last good certificate.
func (p *Pair) Reload() error {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.looked = p.now()
	return p.read()
}

// read replaces the current certificate by that in the files. The caller holds p.reading.
func (p *Pair) read() error {
	var seen [2]version
	for i, file := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(file)
		if err != nil {
			return fmt.Errorf("the TLS certificate: %w", err)
		}
		seen[i] = version{info.ModTime(), info.Size(), info}
	}
	pair, err := tls.LoadX509KeyPair(p.certFile, p.keyFile)
	if err != nil {
		return fmt.Errorf("the TLS certificate in %s and %s: %w", p.certFile, p.keyFile, err)
	}
	p.seen, p.failing = seen, false
	p.current.Store(&pair)
	return nil
}

// look reads the files again if they have changed. The caller holds p.reading.
func (p *Pair) look() {
	now := p.now()
	if now.Sub(p.looked) < lookEvery {
		return
	}
	p.looked = now
	changed := p.failing
	for i, file := range []string{p.certFile, p.keyFile} {
		info, err := os.Stat(file)
		changed = changed || err != nil || !p.seen[i].same(version{info.ModTime(), info.Size(), info})
	}
	if !changed {
		return
	}
	failed := p.failing
	if err := p.read(); err != nil {
		p.failing = true
		if !failed {
			p.logger.Warn("cannot read the renewed TLS certificate; the server goes on with the one before",
				"error", err, "expires", p.current.Load().Leaf.NotAfter)
		}
		return
	}
	p.logger.Info("the TLS certificate was renewed", "expires", p.current.Load().Leaf.NotAfter)
}

// Config returns a configuration for TLS that serves the pair.
func (p *Pair) Config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return p.newest(), nil
		},
	}
}

// newest returns the certificate, after a look at the files unless another call is at that.
func (p *Pair) newest() *tls.Certificate {
	if p.reading.TryLock() {
		p.look()
		p.reading.Unlock()
	}
	return p.current.Load()
}

// NotAfter returns when the certificate expires.
func (p *Pair) NotAfter() time.Time { return p.newest().Leaf.NotAfter }

// Names returns the names and addresses that the certificate is for.
func (p *Pair) Names() []string {
	leaf := p.current.Load().Leaf
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}
