// Package doctor looks at what a server needs and has: its clock, files, store, keys,
// certificate, public address and limits. It says what is wrong and how to mend it, and
// changes nothing.
package doctor

import (
	"context"
	"fmt"
	"time"

	"github.com/tandem-auth/tandem/internal/daemon"
	"github.com/tandem-auth/tandem/internal/storage"
)

// A Level says how bad a finding is.
type Level string

// The levels. Info is what could not be looked at, and why.
const (
	OK   Level = "ok"
	Info Level = "info"
	Warn Level = "warn"
	Fail Level = "fail"
)

// A Finding is what one look has found.
type Finding struct {
	Level Level `json:"level"`
	// Part is what was looked at, such as "store".
	Part string `json:"part"`
	Text string `json:"text"`
	// Mend says what to do.
	Mend string `json:"mend,omitempty"`
}

// An Examination is of one server. Its zero value but for Config is ready for use.
type Examination struct {
	// Config is that of the server.
	Config daemon.Config
	// MasterKeyFile is the file that Config.MasterKeys are from, if they are from one.
	MasterKeyFile string
	// Now is the clock. Defaults to [time.Now].
	Now func() time.Time

	found []Finding
	store storage.Store // open during Run if it can be
}

// timeout bounds each part of an examination.
const timeout = 10 * time.Second

// Run looks at everything, and returns what it has found in that order.
func (e *Examination) Run(ctx context.Context) []Finding {
	if e.Now == nil {
		e.Now = time.Now
	}
	for _, look := range []func(context.Context){
		e.settings, e.clock, e.files, e.openStore, e.keys, e.backups, e.certificate, e.public, e.limits,
	} {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		look(ctx)
		cancel()
	}
	if e.store != nil {
		if err := e.store.Close(); err != nil {
			e.report(Warn, "store", "", "closing it failed: %v", err)
		}
	}
	return e.found
}

func (e *Examination) report(level Level, part, mend, format string, args ...any) {
	e.found = append(e.found, Finding{Level: level, Part: part, Text: fmt.Sprintf(format, args...), Mend: mend})
}

// settings looks at the settings alone.
func (e *Examination) settings(context.Context) {
	if err := daemon.Check(e.Config); err != nil {
		e.report(Fail, "settings", "tandem config check says the same until it is mended", "%v", err)
		return
	}
	e.report(OK, "settings", "", "good")
}

// oldest is before this program was written: a clock that shows an earlier time is wrong.
var oldest = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func (e *Examination) clock(context.Context) {
	now := e.Now()
	if now.Before(oldest) {
		e.report(Fail, "clock", "set the clock, and keep it right with chrony or systemd-timesyncd: tokens expire by it",
			"the clock shows %s", now.Format(time.RFC3339))
		return
	}
	e.report(OK, "clock", "", "shows %s; the public address tells below whether others agree", now.UTC().Format(time.RFC3339))
}
