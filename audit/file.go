package audit

import (
	"bytes"
	"context"
	"encoding/json"
	"os"

	"github.com/tandem-auth/tandem/store"
)

// An appendFile is a file that other programs may rename to begin a new one.
type appendFile struct {
	path string
	f    *os.File
}

func openFile(path string) (*appendFile, error) {
	a := &appendFile{path: path}
	return a, a.open()
}

func (a *appendFile) open() error {
	f, err := os.OpenFile(a.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	a.f = f
	return nil
}

// append writes the records and syncs the file. After an error some of them may be in the
// file, and come again.
func (a *appendFile) append(_ context.Context, records []store.AuditRecord) error {
	if err := a.follow(); err != nil {
		return err
	}
	var lines bytes.Buffer
	encoder := json.NewEncoder(&lines)
	encoder.SetEscapeHTML(false)
	for _, r := range records {
		if err := encoder.Encode(r); err != nil {
			return err
		}
	}
	if _, err := a.f.Write(lines.Bytes()); err != nil {
		return err
	}
	return a.f.Sync()
}

// follow opens the file again if another, or none, has its name.
func (a *appendFile) follow() error {
	now, err := os.Stat(a.path)
	if err == nil {
		open, err := a.f.Stat()
		if err != nil {
			return err
		}
		if os.SameFile(now, open) {
			return nil
		}
	}
	before := a.f
	if err := a.open(); err != nil {
		return err
	}
	return before.Close()
}

func (a *appendFile) close() error { return a.f.Close() }
