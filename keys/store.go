package keys

import "context"

// A Store keeps one document for all the servers that share it. The stores that
// come with Tandem are some; package storetest has the suite.
//
// Both methods are safe for concurrent use, and what SaveKeys has written is
// durable once it returns.
type Store interface {
	// LoadKeys returns the document and its version, or nil and 0 if there is none
	// yet.
	LoadKeys(ctx context.Context) (document []byte, version int64, err error)

	// SaveKeys replaces the document if its version still is from, and the version
	// by the next higher number: one atomic compare-and-set. It reports whether it
	// did.
	SaveKeys(ctx context.Context, document []byte, from int64) (bool, error)
}
