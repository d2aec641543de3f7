package sqlitestore

import (
	"context"
	"database/sql"
	"errors"
)

// LoadKeys returns the document in which the server keeps its keys, and its version;
// nil and 0 if the server has not saved one.
func (s *Store) LoadKeys(ctx context.Context) (document []byte, version int64, _ error) {
	err := s.reader.QueryRowContext(ctx, `SELECT document, version FROM keys`).Scan(&document, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	return document, version, s.explain(ctx, "load the keys", err)
}

// SaveKeys replaces the document if its version is still from, and reports whether it
// did.
func (s *Store) SaveKeys(ctx context.Context, document []byte, from int64) (bool, error) {
	statement := `UPDATE keys SET document = ?1, version = version + 1 WHERE version = ?2`
	if from == 0 {
		statement = `INSERT INTO keys (id, version, document) VALUES (1, ?2 + 1, ?1) ON CONFLICT (id) DO NOTHING`
	}
	n, err := s.exec(ctx, "save the keys", statement, document, from)
	return n == 1, err
}
