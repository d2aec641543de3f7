package pgstore

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/tandem-auth/tandem/store"
)

// A document is a table with one row, which is replaced as a whole.
type document struct{ table, name string }

var (
	keysDocument    = document{"tandem_keys", "keys"}
	clientsDocument = document{"tandem_clients", "clients"}
)

// LoadKeys returns the document in which the servers keep their keys, and its version;
// nil and 0 if no server has saved one.
func (s *Store) LoadKeys(ctx context.Context) (text []byte, version int64, _ error) {
	return s.load(ctx, keysDocument)
}

// SaveKeys replaces the document if its version is still from, and reports whether it
// did.
func (s *Store) SaveKeys(ctx context.Context, text []byte, from int64) (bool, error) {
	return s.save(ctx, keysDocument, text, from)
}

// LoadClients is LoadKeys for the registry of clients.
func (s *Store) LoadClients(ctx context.Context) (text []byte, version int64, _ error) {
	return s.load(ctx, clientsDocument)
}

// SaveClients is SaveKeys for the registry of clients.
func (s *Store) SaveClients(ctx context.Context, text []byte, from int64) (bool, error) {
	return s.save(ctx, clientsDocument, text, from)
}

func (s *Store) load(ctx context.Context, d document) (text []byte, version int64, _ error) {
	err := s.queryRow(ctx, "load the "+d.name, `SELECT document, version FROM `+d.table, nil,
		func(row pgx.Row) error { return row.Scan(&text, &version) })
	if errors.Is(err, store.ErrNotFound) {
		return nil, 0, nil
	}
	return text, version, err
}

func (s *Store) save(ctx context.Context, d document, text []byte, from int64) (bool, error) {
	statement := `UPDATE ` + d.table + ` SET document = $1, version = version + 1 WHERE version = $2`
	if from == 0 {
		statement = `INSERT INTO ` + d.table + ` (id, version, document) VALUES (1, $2::bigint + 1, $1) ON CONFLICT (id) DO NOTHING`
	}
	n, err := s.exec(ctx, "save the "+d.name, onceOnly, statement, text, from)
	return n == 1, err
}
