package bench

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
)

// An engine is a database server that counts its work.
type engine interface {
	Start() error
	Stop() error
	Close() error
	// count returns the engine's own counters that matter for a refresh.
	count(ctx context.Context) (map[string]int64, error)
}

// openStore adds the user to the engine's store, and stops the engine until the
// measurement.
func (t *target) openStore(ctx context.Context, w *workshop, e engine, url string) error {
	t.engine = e
	masterKey := make([]byte, 32)
	if _, err := rand.Read(masterKey); err != nil {
		return err
	}
	err := t.openTandem(ctx, w, "TANDEM_STORE="+url, "TANDEM_MASTER_KEY="+base64.StdEncoding.EncodeToString(masterKey))
	return errors.Join(err, e.Stop())
}

// difference returns what the engine counted between two readings.
func difference(before, after map[string]int64) map[string]int64 {
	d := make(map[string]int64, len(after))
	for name, n := range after {
		if n != before[name] {
			d[name] = n - before[name]
		}
	}
	return d
}
