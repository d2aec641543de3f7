package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
)

// An engine is a database server that can say what it has done.
type engine interface {
	Start() error
	Stop() error
	Close() error
	// count reads the engine's own counters, all that matters of them.
	count(ctx context.Context) (map[string]int64, error)
}

// openStore adds the user to a store that the engine has, and stops the engine
// until it is measured.
func (t *target) openStore(ctx context.Context, w *workshop, e engine, url string) error {
	t.engine = e
	masterKey := make([]byte, 32)
	if _, err := rand.Read(masterKey); err != nil {
		return err
	}
	err := t.openTandem(ctx, w, "TANDEM_STORE="+url, "TANDEM_MASTER_KEY="+base64.StdEncoding.EncodeToString(masterKey))
	return errors.Join(err, e.Stop())
}

// difference returns what was counted between two readings.
func difference(before, after map[string]int64) map[string]int64 {
	d := make(map[string]int64, len(after))
	for name, n := range after {
		if n != before[name] {
			d[name] = n - before[name]
		}
	}
	return d
}
