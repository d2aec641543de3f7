package keys

import "context"

// A Store keeps one document for all servers that share the store. The stores that
// come with Tandem implement it; package storetest has the test suite.
//
// Both methods are safe for concurrent use. When SaveKeys returns true, the new
// document is durable.
type Store interface {
	// LoadKeys returns the document and its version, or nil and 0 if there is none
	// yet.
	LoadKeys(ctx context.Context) (document []byte, version int64, err error)

	// SaveKeys replaces the document and increments its version, in one atomic
	// compare-and-set, if the version is still from. It reports whether it did so.
	SaveKeys(ctx context.Context, document []byte, from int64) (bool, error)
}
