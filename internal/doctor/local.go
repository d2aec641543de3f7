package doctor

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tandem-auth/tandem/internal/certfile"
	"github.com/tandem-auth/tandem/internal/sqlitefile"
)

// files looks at who may read and write the database, the keys and what else is secret.
func (e *Examination) files(context.Context) {
	before := len(e.found)
	if path := e.Config.Store.Path(); path != "" {
		for _, problem := range sqlitefile.Exposed(path) {
			text, mend, _ := strings.Cut(problem, ": run ")
			e.report(Fail, "files", "run "+mend, "%s", text)
		}
		e.secretFile(sqlitefile.KeyFile(path), "the master key")
		e.writable(filepath.Dir(path))
	}
	e.secretFile(e.MasterKeyFile, "the master key")
	e.secretFile(e.Config.TLSKey, "the key of the TLS certificate")
	if len(e.found) == before {
		e.report(OK, "files", "", "nobody else can read or write what is secret")
	}
}

// secretFile looks at a file that only its owner may read.
func (e *Examination) secretFile(path, what string) {
	if path == "" || runtime.GOOS == "windows" {
		return
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return // what needs it says so
	}
	if err != nil {
		e.report(Fail, "files", "let the user of the server read it", "%s: %v", what, err)
		return
	}
	// A group may read it: that is how Kubernetes and systemd pass secrets.
	if mode := info.Mode().Perm(); mode&0o007 != 0 || mode&0o020 != 0 {
		e.report(Fail, "files", "run chmod 600 "+path+"; if others were on this machine, make a new one", "%s in %s may be read or written by others (mode %04o)", what, path, mode)
	}
}

// leastDisk is below which a disk counts as full soon, in bytes.
const leastDisk = 512 << 20

// writable looks at whether the folder of the database can be written, and how full it is.
func (e *Examination) writable(folder string) {
	if _, err := os.Stat(folder); err != nil {
		return // it will be made
	}
	f, err := os.CreateTemp(folder, ".tandem-doctor-")
	if err != nil {
		e.report(Fail, "files", "let the user of the server write the folder, or mount it for writing", "%v", err)
		return
	}
	_ = f.Close()
	_ = os.Remove(f.Name())
	if free, ok := freeSpace(folder); ok && free < leastDisk {
		e.report(Warn, "files", "make room: a database that cannot grow refuses sign-ins and refreshes", "%d MB are free in %s", free>>20, folder)
	}
}

// soon is how long before its expiry a certificate should have been renewed.
const soon = 14 * 24 * time.Hour

// certificate looks at the server's own certificate.
func (e *Examination) certificate(context.Context) {
	if e.Config.TLSCert == "" {
		return
	}
	pair, err := certfile.Open(e.Config.TLSCert, e.Config.TLSKey, slog.New(slog.DiscardHandler))
	if err != nil {
		return // settings has said so
	}
	left := pair.NotAfter().Sub(e.Now())
	switch {
	case left <= 0:
		e.report(Fail, "certificate", "renew it; the server takes the new files without a restart", "it expired on %s", pair.NotAfter().Format(time.DateOnly))
	case left < soon:
		e.report(Warn, "certificate", "find out why it was not renewed; the server takes new files without a restart", "it expires on %s", pair.NotAfter().Format(time.DateOnly))
	default:
		e.report(OK, "certificate", "", "good until %s", pair.NotAfter().Format(time.DateOnly))
	}
	if u, err := url.Parse(e.Config.Issuer); err == nil && e.Config.Issuer != "" && !isFor(pair.Names(), u.Hostname()) {
		e.report(Fail, "certificate", "get a certificate for "+u.Hostname()+", or correct --issuer", "it is for %s, and the issuer is %s", strings.Join(pair.Names(), ", "), e.Config.Issuer)
	}
}

func isFor(names []string, host string) bool {
	_, parent, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(names, func(name string) bool {
		return strings.EqualFold(name, host) || strings.EqualFold(name, "*."+parent)
	})
}

// What a server for some thousand users at a time needs.
const (
	leastFiles  = 4096
	leastMemory = 128 << 20
)

// limits looks at how many files may be open and how much memory there is.
func (e *Examination) limits(context.Context) {
	before := len(e.found)
	if files, ok := openFiles(); ok && files < leastFiles {
		e.report(Warn, "limits", "raise it: LimitNOFILE= of a systemd unit, ulimits of a compose file, or ulimit -n",
			"%d files may be open at once; each connection is one", files)
	}
	if memory, ok := memoryLimit(); ok {
		switch {
		case memory < leastMemory:
			e.report(Warn, "limits", "give it 128 MB and more", "%d MB of memory are allowed", memory>>20)
		case os.Getenv("GOMEMLIMIT") == "":
			e.report(Info, "limits", "", "%d MB of memory are allowed; GOMEMLIMIT=%dMiB keeps the server from growing into that limit", memory>>20, memory>>21)
		}
	}
	if len(e.found) == before {
		e.report(OK, "limits", "", "enough files and memory")
	}
}
