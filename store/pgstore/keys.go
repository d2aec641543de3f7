package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/store"
)

// LoadKeys returns the document in which the servers keep their keys, and its version;
// nil and 0 if no server has saved one.
func (s *Store) LoadKeys(ctx context.Context) (document []byte, version int64, _ error) {
	err := s.queryRow(ctx, "load the keys", `SELECT document, version FROM tandem_keys`, nil,
		func(row pgx.Row) error { return row.Scan(&document, &version) })
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	return document, version, err
}

// SaveKeys replaces the document if its version is still from, and reports whether it
// did.
func (s *Store) SaveKeys(ctx context.Context, document []byte, from int64) (bool, error) {
	statement := `UPDATE tandem_keys SET document = $1, version = version + 1 WHERE version = $2`
	if from == 0 {
		statement = `INSERT INTO tandem_keys (id, version, document) VALUES (1, $2::bigint + 1, $1) ON CONFLICT (id) DO NOTHING`
	}
	n, err := s.exec(ctx, "save the keys", onceOnly, statement, document, from)
	return n == 1, err
}
