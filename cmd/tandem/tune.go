package main

import (
	"os"
	"runtime"
	"runtime/debug"

	"modernc.org/sqlite"
)

// gcPercent suits a server that keeps next to nothing in memory: at Go's 100 it
// would collect garbage every few milliseconds, for the sake of some 20 MB.
const gcPercent = 400

// tune sets what GOGC and GOMAXPROCS do not say. The writer of a SQLite database is
// in a system call most of the time, waiting for the disk, and keeps one of Go's
// processors from the others meanwhile; with one more, none of the machine's idles.
func tune(embedded bool) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if !embedded {
		return
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	// As every Linux distribution's SQLite: with the data goes what is needed to read it
	// back, but not the file's times. Elsewhere it stays as it is.
	_, _ = sqlite.Fdatasync(true)
}
