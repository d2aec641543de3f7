package filestore

import "github.com/tandem-auth/tandem/tokenstore/internal/document"

// ErrNewer is wrapped by the error for a session file that a later version has written.
// The session in it may be good: only that version can tell. It matches [ErrUnusable],
// too.
var ErrNewer = document.ErrNewer
