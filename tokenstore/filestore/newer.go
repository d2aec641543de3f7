package filestore

import "github.com/tandem-auth/tandem/tokenstore/internal/document"

// ErrNewer is wrapped by the error for a session file that a later version has written.
// The session in it may be valid; only that version can tell. The error also matches
// [ErrUnusable].
var ErrNewer = document.ErrNewer
